package awswire

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// everything has a member of each kind that models have.
type everything struct {
	Text    *string               `aws:"Text"`
	Number  *int                  `aws:"Number"`
	Long    *int64                `aws:"Long"`
	Real    *float64              `aws:"Real"`
	Flag    *bool                 `aws:"Flag"`
	Blob    []byte                `aws:"Blob"`
	Time    *time.Time            `aws:"Time"`
	List    []string              `aws:"List"`
	Map     map[string]string     `aws:"Map"`
	Nested  *everything           `aws:"Nested"`
	Structs []everything          `aws:"Structs"`
	ByName  map[string]everything `aws:"ByName"`
	Other   *string               `aws:"Other,name=otherName"`
}

var testService = &Service{ID: "Test", Protocol: JSON}

func decodeEverything(text []byte) (*everything, error) {
	out := new(everything)
	return out, decodeJSON(testService, text, reflect.ValueOf(out).Elem())
}

func TestJSONRoundTrip(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{`{}`, `{}`},
		{` { "Text" : "a\u00e9\n" , "Unknown": {"x":[1,{"y":"}"}]}, "Number":-3 } `, `{"Text":"aé\n","Number":-3}`},
		{`{"Text":null,"List":[],"Map":{}}`, `{"List":[],"Map":{}}`},
		{`{"Long":9007199254740993,"Real":1.5e3,"Flag":true,"Number":3.9}`, `{"Number":3,"Long":9007199254740993,"Real":1500,"Flag":true}`},
		{`{"Blob":"AAEC/w==","Time":1700000000.5}`, `{"Blob":"AAEC/w==","Time":1700000000.5}`},
		{`{"Blob":"\u0041AE=","Time":"2023-11-14T22:13:20Z"}`, `{"Blob":"AAE=","Time":1700000000}`},
		{`{"Nested":{"Structs":[{"Text":"a"},{}],"ByName":{"b":{"Number":1},"a":{}}},"otherName":"o"}`,
			`{"Nested":{"Structs":[{"Text":"a"},{}],"ByName":{"a":{},"b":{"Number":1}}},"otherName":"o"}`},
	} {
		v, err := decodeEverything([]byte(tt.in))
		if err != nil {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		if got := string(appendJSON(testService, nil, reflect.ValueOf(v))); got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.in, got, tt.want)
		}
	}
}

func TestJSONMismatch(t *testing.T) {
	for in, want := range map[string]string{
		`{"Text":1}`:           "NUMBER_VALUE can not be converted to a String",
		`{"Text":{}}`:          "Start of structure or map found where not expected.",
		`{"Text":[]}`:          "Start of list found where not expected",
		`{"Number":"1"}`:       "STRING_VALUE can not be converted to an Integer",
		`{"Number":1e99}`:      "1e99 can not be converted to an Integer",
		`{"Flag":"true"}`:      "STRING_VALUE can not be converted to a Boolean",
		`{"Real":false}`:       "FALSE_VALUE can not be converted to a Double",
		`{"List":"a"}`:         "Expected list or null",
		`{"Map":1}`:            "Expected map or null",
		`{"Nested":"x"}`:       "Expected null",
		`{"Nested":[]}`:        "Start of list found where not expected",
		`{"Blob":true}`:        "TRUE_VALUE can not be converted to a Blob",
		`{"Time":"yesterday"}`: `The timestamp "yesterday" cannot be read`,
		`{"Text":"a"`:          "Could not parse request body into json: unexpected end of JSON input",
		`[]`:                   "Start of list found where not expected",
	} {
		if _, err := decodeEverything([]byte(in)); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", in, err, want)
		}
	}
}

// FuzzJSON compares the reader with encoding/json, and wants what was read and written to read the same again.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{`{"Text":"a","List":["b"],"Map":{"c":"d"}}`, `{"Nested":{"Structs":[{"Number":1}]}}`, `{"Blob":"AA==","Real":1e5}`,
		"{\"Text\":\"\xff\\ud800\"}", `{"a":[[{"b":"]"}]],"Flag":true}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := decodeEverything(text)
		if err != nil {
			return
		}
		if v.Text != nil {
			var plain struct{ Text *string }
			if err := json.Unmarshal(text, &plain); err == nil && plain.Text != nil && bytes.Count(text, []byte("ext")) == 1 && *plain.Text != *v.Text {
				t.Errorf("%q: read %q, encoding/json reads %q", text, *v.Text, *plain.Text)
			}
		}
		written := appendJSON(testService, nil, reflect.ValueOf(v))
		again, err := decodeEverything(written)
		if err != nil {
			t.Fatalf("%q was written as %q: %v", text, written, err)
		}
		if twice := appendJSON(testService, nil, reflect.ValueOf(again)); !bytes.Equal(written, twice) {
			t.Errorf("%q was written as %q and then as %q", text, written, twice)
		}
	})
}
