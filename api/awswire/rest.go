package awswire

import (
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
)

// Decode reads the request into a pointer to the operation's generated input and validates it.
func (r *Request) Decode(in any) error {
	v := reflect.ValueOf(in).Elem()
	var err error
	switch r.Service.Protocol {
	case Query:
		err = r.decodeForm(v)
	case JSON:
		err = r.decodeBody(v)
	default:
		err = r.decodeREST(v)
	}
	if err != nil {
		return err
	}
	return Validate(r.Service, in)
}

func (r *Request) decodeBody(v reflect.Value) error {
	body, err := r.Body()
	if err != nil || len(body) == 0 {
		return err
	}
	return decodeJSON(r.Service, body, v)
}

func (r *Request) decodeREST(v reflect.Value) error {
	p := planOf(r.Service, v.Type())
	var query url.Values
	hasBody := false
	for _, f := range p.fields {
		target := v.Field(f.index)
		var err error
		switch f.loc {
		case inBody:
			hasBody = true
		case inURI:
			err = setText(target, r.Label(f.name))
		case inQuery:
			if query == nil {
				query = r.HTTP.URL.Query()
			}
			err = setQuery(target, query, f.name)
		case inHeader:
			if values := r.HTTP.Header.Values(f.name); len(values) > 0 {
				err = setText(target, values[0])
			}
		case inPayload:
			err = r.setPayload(target)
		}
		if err != nil {
			return err
		}
	}
	if !hasBody {
		return nil
	}
	return r.decodeBody(v)
}

// setPayload reads the whole body into one member: bytes as they are, a structure as JSON.
func (r *Request) setPayload(target reflect.Value) error {
	body, err := r.Body()
	switch {
	case err != nil || len(body) == 0:
		return err
	case target.Type() == bytesType:
		target.SetBytes(body)
		return nil
	}
	return decodeJSON(r.Service, body, target)
}

func setQuery(target reflect.Value, query url.Values, name string) error {
	values, ok := query[name]
	if !ok {
		return nil
	}
	if target.Kind() == reflect.Slice {
		target.Set(reflect.ValueOf(values).Convert(target.Type()))
		return nil
	}
	return setText(target, values[0])
}

// setText reads a scalar from text, as labels, query strings, headers and forms have it.
func setText(target reflect.Value, text string) error {
	if target.Kind() == reflect.Pointer {
		p := reflect.New(target.Type().Elem())
		if err := setText(p.Elem(), text); err != nil {
			return err
		}
		target.Set(p)
		return nil
	}
	if target.Type() == timeType {
		t, err := parseTime(text)
		if err == nil {
			target.Set(reflect.ValueOf(t))
		}
		return err
	}
	switch target.Kind() {
	case reflect.String:
		target.SetString(text)
	case reflect.Bool:
		switch strings.ToLower(text) {
		case "true":
			target.SetBool(true)
		case "false":
			target.SetBool(false)
		default:
			return malformed("'" + text + "' can not be converted to a Boolean")
		}
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return malformed("'" + text + "' can not be converted to an Integer")
		}
		target.SetInt(n)
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return malformed("'" + text + "' can not be converted to a Double")
		}
		target.SetFloat(f)
	}
	return nil
}

// WriteOutput answers with an operation's output, a pointer to its generated type.
func WriteOutput(w http.ResponseWriter, r *Request, out any) error {
	return WriteStatus(w, r, r.Operation.Status, out)
}

// WriteStatus is WriteOutput with another HTTP status than the operation's usual one.
func WriteStatus(w http.ResponseWriter, r *Request, status int, out any) error {
	v := reflect.ValueOf(out).Elem()
	h := w.Header()
	var b []byte
	switch r.Service.Protocol {
	case Query:
		h.Set("Content-Type", "text/xml")
		b = xmlResponse(r, v)
	case JSON:
		h.Set("Content-Type", "application/x-amz-json-"+r.Service.JSONVersion)
		b = appendJSON(r.Service, nil, v)
	default:
		b, status = encodeREST(h, r.Service, v, status)
	}
	if status != http.StatusNoContent {
		h.Set("Content-Length", strconv.Itoa(len(b)))
	}
	w.WriteHeader(status)
	_, _ = w.Write(b) // the client may be gone; there is nobody left to tell
	return nil
}

func encodeREST(h http.Header, s *Service, v reflect.Value, status int) ([]byte, int) {
	p := planOf(s, v.Type())
	for _, f := range p.fields {
		value := v.Field(f.index)
		if absent(value) {
			continue
		}
		switch f.loc {
		case inHeader:
			h.Set(f.name, show(value))
		case inStatus:
			status = int(reflect.Indirect(value).Int())
		}
	}
	switch {
	case status == http.StatusNoContent:
		return nil, status
	case p.payload >= 0:
		if value := v.Field(p.fields[p.payload].index); value.Type() == bytesType {
			return value.Bytes(), status
		} else if !absent(value) {
			h.Set("Content-Type", "application/json")
			return appendJSON(s, nil, value), status
		}
		return nil, status
	case len(p.fields) == 0:
		return nil, status
	}
	h.Set("Content-Type", "application/json")
	return appendJSON(s, nil, v), status
}
