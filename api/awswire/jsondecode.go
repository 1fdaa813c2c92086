package awswire

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"time"
	"unicode/utf8"
)

// MalformedError is a body or parameter that cannot be read as what the model says, in AWS's words.
type MalformedError struct{ Message string }

func (e *MalformedError) Error() string { return e.Message }

func malformed(msg string) error { return &MalformedError{Message: msg} }

// decodeJSON reads a JSON document into a pointer to a generated struct. Members that the model does not know are
// skipped, null is absent.
func decodeJSON(s *Service, text []byte, out reflect.Value) error {
	if !json.Valid(text) {
		var v any
		err := json.Unmarshal(text, &v)
		msg := "Could not parse request body into json"
		if err != nil {
			msg += ": " + err.Error()
		}
		return malformed(msg)
	}
	// The document is valid JSON, so the reader only has to find its way.
	d := jsonReader{service: s, text: text}
	d.space()
	return d.value(out)
}

// jsonReader walks a valid JSON document. Blobs are decoded straight from it: a deployment package is 70 MB of base64.
type jsonReader struct {
	service *Service
	text    []byte
	at      int
}

func (d *jsonReader) space() {
	for d.at < len(d.text) {
		switch d.text[d.at] {
		case ' ', '\t', '\n', '\r':
			d.at++
		default:
			return
		}
	}
}

// next consumes c after white space, and the white space behind it.
func (d *jsonReader) next(c byte) bool {
	d.space()
	if d.at < len(d.text) && d.text[d.at] == c {
		d.at++
		d.space()
		return true
	}
	return false
}

// raw returns a string token with its quotes, and whether it holds escapes.
func (d *jsonReader) raw() (token []byte, escaped bool) {
	start := d.at
	for d.at++; d.text[d.at] != '"'; d.at++ {
		if d.text[d.at] == '\\' {
			escaped = true
			d.at++
		}
	}
	d.at++
	return d.text[start:d.at], escaped
}

func (d *jsonReader) str() string {
	token, escaped := d.raw()
	if !escaped && utf8.Valid(token) {
		return string(token[1 : len(token)-1])
	}
	var s string
	_ = json.Unmarshal(token, &s) // the document is valid
	return s
}

// skip passes over a value.
func (d *jsonReader) skip() {
	d.space()
	switch d.text[d.at] {
	case '"':
		d.raw()
	case '{', '[':
		depth := 0
		for {
			switch d.text[d.at] {
			case '"':
				d.raw()
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			}
			d.at++
			if depth == 0 {
				return
			}
		}
	default:
		d.literal()
	}
}

// literal reads a number, true, false or null.
func (d *jsonReader) literal() string {
	start := d.at
	for d.at < len(d.text) {
		switch d.text[d.at] {
		case ',', '}', ']', ' ', '\t', '\n', '\r':
			return string(d.text[start:d.at])
		}
		d.at++
	}
	return string(d.text[start:d.at])
}

func (d *jsonReader) value(out reflect.Value) error {
	c := d.text[d.at]
	if c == 'n' {
		d.literal()
		return nil
	}
	if out.Kind() == reflect.Pointer {
		p := reflect.New(out.Type().Elem())
		if err := d.value(p.Elem()); err != nil {
			return err
		}
		out.Set(p)
		return nil
	}
	switch t := out.Type(); {
	case t == timeType:
		return d.time(out)
	case t == bytesType:
		return d.blob(out)
	case t.Kind() == reflect.Struct:
		return d.structure(out)
	case t.Kind() == reflect.Slice:
		return d.list(out)
	case t.Kind() == reflect.Map:
		return d.mapping(out)
	default:
		return d.scalar(out)
	}
}

func (d *jsonReader) structure(out reflect.Value) error {
	if d.text[d.at] == '[' {
		return malformed("Start of list found where not expected")
	}
	if !d.next('{') {
		return malformed("Expected null")
	}
	p := planOf(d.service, out.Type())
	for !d.next('}') {
		name := d.str()
		d.next(':')
		if i, ok := p.byName[name]; ok {
			if err := d.value(out.Field(p.fields[i].index)); err != nil {
				return err
			}
		} else {
			d.skip()
		}
		d.next(',')
	}
	return nil
}

func (d *jsonReader) list(out reflect.Value) error {
	if !d.next('[') {
		return malformed("Expected list or null")
	}
	list := reflect.MakeSlice(out.Type(), 0, 4)
	for !d.next(']') {
		e := reflect.New(out.Type().Elem()).Elem()
		if err := d.value(e); err != nil {
			return err
		}
		list = reflect.Append(list, e)
		d.next(',')
	}
	out.Set(list)
	return nil
}

func (d *jsonReader) mapping(out reflect.Value) error {
	if !d.next('{') {
		return malformed("Expected map or null")
	}
	m := reflect.MakeMap(out.Type())
	for !d.next('}') {
		key := d.str()
		d.next(':')
		e := reflect.New(out.Type().Elem()).Elem()
		if err := d.value(e); err != nil {
			return err
		}
		m.SetMapIndex(reflect.ValueOf(key), e)
		d.next(',')
	}
	out.Set(m)
	return nil
}

func (d *jsonReader) blob(out reflect.Value) error {
	if d.text[d.at] != '"' {
		return d.mismatch("a Blob")
	}
	token, escaped := d.raw()
	text := token[1 : len(token)-1]
	if escaped { // some encoders write \/ and \u002b
		var s string
		_ = json.Unmarshal(token, &s)
		text = []byte(s)
	}
	b := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(b, text)
	if err != nil {
		return malformed("The request's blob is not valid base64: " + err.Error())
	}
	out.SetBytes(b[:n])
	return nil
}

func (d *jsonReader) time(out reflect.Value) error {
	if d.text[d.at] == '"' {
		t, err := parseTime(d.str())
		if err != nil {
			return err
		}
		out.Set(reflect.ValueOf(t))
		return nil
	}
	f, err := strconv.ParseFloat(d.literal(), 64)
	if err != nil {
		return malformed("The request's timestamp is neither a number nor a date")
	}
	seconds, fraction := math.Modf(f)
	out.Set(reflect.ValueOf(time.Unix(int64(seconds), int64(math.Round(fraction*1e3))*1e6).UTC()))
	return nil
}

func (d *jsonReader) scalar(out reflect.Value) error {
	c := d.text[d.at]
	switch out.Kind() {
	case reflect.String:
		if c != '"' {
			return d.mismatch("a String")
		}
		out.SetString(d.str())
	case reflect.Bool:
		if c != 't' && c != 'f' {
			return d.mismatch("a Boolean")
		}
		out.SetBool(d.literal() == "true")
	case reflect.Int, reflect.Int64:
		if c != '-' && (c < '0' || c > '9') {
			return d.mismatch("an Integer")
		}
		return setInt(out, d.literal())
	default:
		if c != '-' && (c < '0' || c > '9') {
			return d.mismatch("a Double")
		}
		f, err := strconv.ParseFloat(d.literal(), 64)
		if err != nil {
			return malformed("A number is out of range")
		}
		out.SetFloat(f)
	}
	return nil
}

// setInt reads an integer; AWS cuts fractions off.
func setInt(out reflect.Value, text string) error {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		f, ferr := strconv.ParseFloat(text, 64)
		if ferr != nil || math.Abs(f) > math.MaxInt64/2 {
			return malformed(text + " can not be converted to an Integer")
		}
		n = int64(f)
	}
	out.SetInt(n)
	return nil
}

// mismatch words a value of the wrong type as AWS does.
func (d *jsonReader) mismatch(want string) error {
	switch d.text[d.at] {
	case '{':
		return malformed("Start of structure or map found where not expected.")
	case '[':
		return malformed("Start of list found where not expected")
	case '"':
		return malformed("STRING_VALUE can not be converted to " + want)
	case 't':
		return malformed("TRUE_VALUE can not be converted to " + want)
	case 'f':
		return malformed("FALSE_VALUE can not be converted to " + want)
	}
	return malformed("NUMBER_VALUE can not be converted to " + want)
}

func parseTime(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, time.RFC1123, "Mon, 02 Jan 2006 15:04:05 GMT"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return time.UnixMilli(int64(math.Round(f * 1e3))).UTC(), nil
	}
	return time.Time{}, malformed("The timestamp " + strconv.Quote(s) + " cannot be read")
}
