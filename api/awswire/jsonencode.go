package awswire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strconv"
	"time"
	"unicode/utf8"
)

// appendJSON writes a value of a generated type. Absent members are left out, empty lists and maps are not.
func appendJSON(s *Service, b []byte, v reflect.Value) []byte {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch t := v.Type(); {
	case t == timeType:
		return appendEpoch(b, v.Interface().(time.Time))
	case t == bytesType:
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, v.Bytes())
		return append(b, '"')
	case t.Kind() == reflect.Struct:
		return appendJSONStruct(s, b, v)
	case t.Kind() == reflect.Slice:
		b = append(b, '[')
		for i := range v.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(s, b, v.Index(i))
		}
		return append(b, ']')
	case t.Kind() == reflect.Map:
		b = append(b, '{')
		for i, k := range sortedMapKeys(v) {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendJSONString(b, k.String()), ':')
			b = appendJSON(s, b, v.MapIndex(k))
		}
		return append(b, '}')
	}
	switch v.Kind() {
	case reflect.Bool:
		return strconv.AppendBool(b, v.Bool())
	case reflect.Int, reflect.Int64:
		return strconv.AppendInt(b, v.Int(), 10)
	case reflect.Float64:
		return strconv.AppendFloat(b, v.Float(), 'g', -1, 64)
	}
	return appendJSONString(b, v.String())
}

func appendJSONStruct(s *Service, b []byte, v reflect.Value) []byte {
	b = append(b, '{')
	first := true
	for _, f := range planOf(s, v.Type()).fields {
		value := v.Field(f.index)
		if f.loc != inBody || absent(value) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(appendJSONString(b, f.name), ':')
		b = appendJSON(s, b, value)
	}
	return append(b, '}')
}

// appendEpoch writes a time as the JSON protocols do by default: seconds since 1970, with milliseconds when there are any.
func appendEpoch(b []byte, t time.Time) []byte {
	ms := t.UnixMilli()
	if ms%1000 == 0 {
		return strconv.AppendInt(b, ms/1000, 10)
	}
	return strconv.AppendFloat(b, float64(ms)/1e3, 'f', -1, 64)
}

// appendJSONString writes a string literal without escaping <, > and & as encoding/json does for HTML.
func appendJSONString(b []byte, s string) []byte {
	plain := utf8.ValidString(s)
	for i := 0; plain && i < len(s); i++ {
		plain = s[i] >= ' ' && s[i] != '"' && s[i] != '\\' && s[i] < 0x80
	}
	if plain {
		b = append(b, '"')
		b = append(b, s...)
		return append(b, '"')
	}
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always encodes
	return append(b, bytes.TrimSuffix(buf.Bytes(), []byte{'\n'})...)
}
