package httpgateway

import (
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

func mustURL(query string) *url.URL { return &url.URL{Path: "/", RawQuery: query} }

func TestDecodeResponse(t *testing.T) {
	jsonType := http.Header{"Content-Type": {"application/json"}}
	for _, tc := range []struct {
		name, payload string
		status        int
		header        http.Header
		body          string
	}{
		{"object without status", `{"message": "hi", "body": 1}`, 200, jsonType, `{"message":"hi","body":1}`},
		{"object with odd parts but no status", `{"headers": 3, "cookies": "x", "isBase64Encoded": "maybe"}`, 200, jsonType, `{"headers":3,"cookies":"x","isBase64Encoded":"maybe"}`},
		{"string", `"Hello, world!"`, 200, jsonType, `Hello, world!`},
		{"list", `["hello", 3, true]`, 200, jsonType, `["hello",3,true]`},
		{"number", `3.10`, 200, jsonType, `3.10`},
		{"boolean", `true`, 200, jsonType, `true`},
		{"null", ` null `, 200, jsonType, `null`},
		{"nothing", ``, 200, jsonType, `null`},
		{"parts", `{"statusCode":201,"headers":{"content-type":"text/html","My-Header":"v"},"body":"<p>"}`, 201, http.Header{"Content-Type": {"text/html"}, "My-Header": {"v"}}, "<p>"},
		{"cookies", `{"statusCode":200,"cookies":["a=1; Path=/","b=2"],"headers":{"Set-Cookie":"c=3"}}`, 200, http.Header{"Content-Type": {"application/json"}, "Set-Cookie": {"c=3", "a=1; Path=/", "b=2"}}, ""},
		{"base64", `{"statusCode":200,"isBase64Encoded":true,"body":"AP8B","headers":{"Content-Type":"image/png"}}`, 200, http.Header{"Content-Type": {"image/png"}}, "\x00\xff\x01"},
		{"base64 without padding", `{"statusCode":200,"isBase64Encoded":true,"body":"aGk"}`, 200, jsonType, "hi"},
		{"status as text", `{"statusCode":"418","body":"teapot"}`, 418, jsonType, "teapot"},
		{"status as a whole float", `{"statusCode":204.0}`, 204, jsonType, ""},
		{"body as object", `{"statusCode":200,"body":{"a": [1, 2]}}`, 200, jsonType, `{"a":[1,2]}`},
		{"nulls", `{"statusCode":200,"body":null,"headers":null,"cookies":null,"isBase64Encoded":null}`, 200, jsonType, ""},
		{"headers that are not strings", `{"statusCode":200,"headers":{"X-N":5,"X-B":true,"X-Null":null}}`, 200, http.Header{"Content-Type": {"application/json"}, "X-N": {"5"}, "X-B": {"true"}}, ""},
		{"headers of the connection", `{"statusCode":200,"headers":{"Connection":"close, x-hop","X-Hop":"1","Content-Length":"99","Transfer-Encoding":"chunked","X-Kept":"1"}}`, 200, http.Header{"Content-Type": {"application/json"}, "X-Kept": {"1"}}, ""},
		{"one content type", `{"statusCode":200,"headers":{"Content-Type":"a/b","content-type":"c/d"}}`, 200, http.Header{"Content-Type": {"c/d"}}, ""},
		{"status null", `{"statusCode":null,"a":1}`, 200, jsonType, `{"statusCode":null,"a":1}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := DecodeResponse([]byte(tc.payload))
			if err != nil {
				t.Fatal(err)
			}
			if got.Status != tc.status || string(got.Body) != tc.body || !reflect.DeepEqual(got.Header, tc.header) {
				t.Errorf("got %d %v %q", got.Status, got.Header, got.Body)
			}
		})
	}
}

func TestMalformedResponses(t *testing.T) {
	for _, payload := range []string{
		`{`, `x`, `{"statusCode":"abc"}`, `{"statusCode":""}`, `{"statusCode":true}`, `{"statusCode":200.5}`, `{"statusCode":99}`, `{"statusCode":101}`, `{"statusCode":600}`, `{"statusCode":-1}`,
		`{"statusCode":1e300}`, `{"statusCode":{}}`, `{"statusCode":200,"headers":[]}`, `{"statusCode":200,"headers":{"a":["b"]}}`, `{"statusCode":200,"headers":{"a":{}}}`,
		`{"statusCode":200,"headers":{"a b":"c"}}`, `{"statusCode":200,"headers":{"":"c"}}`, `{"statusCode":200,"headers":{"a":"b\r\nevil: 1"}}`,
		`{"statusCode":200,"cookies":"a"}`, `{"statusCode":200,"cookies":[1]}`, `{"statusCode":200,"cookies":["a\nb"]}`,
		`{"statusCode":200,"isBase64Encoded":"yes"}`, `{"statusCode":200,"isBase64Encoded":true,"body":"***"}`,
	} {
		if res, err := DecodeResponse([]byte(payload)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", payload, res, err)
		}
	}
}

// FuzzDecodeResponse checks that whatever a function returns becomes an answer that HTTP can carry, or an error.
func FuzzDecodeResponse(f *testing.F) {
	f.Add([]byte(`{"statusCode":200,"headers":{"A":"b"},"cookies":["c=d"],"body":"aGk=","isBase64Encoded":true}`))
	f.Add([]byte(`"text"`))
	f.Add([]byte(`{"statusCode":"404","body":{"a":1},"headers":{"x":1}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		res, err := DecodeResponse(payload)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if res.Status < 200 || res.Status > 599 || res.Header.Get("Content-Type") == "" && len(res.Header["Content-Type"]) == 0 {
			t.Fatalf("%q gave %+v", payload, res)
		}
		for name, values := range res.Header {
			if !validName(name) || strings.ContainsAny(strings.Join(values, ""), "\r\n\x00") {
				t.Fatalf("header %q: %q", name, values)
			}
		}
	})
}
