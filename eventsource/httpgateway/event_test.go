package httpgateway

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var testTime = time.Date(2020, 3, 12, 19, 3, 58, 390e6, time.FixedZone("", 3600))

func testSource(path string) EventSource {
	return EventSource{RouteKey: "$default", Stage: "$default", RawPath: path, AccountID: "anonymous", APIID: "abcdefghij",
		DomainName: "abcdefghij.lambda-url.eu-west-1.localhost", DomainPrefix: "abcdefghij", RequestID: "0f9a2c6e-1111-4222-8333-444455556666",
		TraceID: "Root=1-5e6a8b5e-0123456789abcdef01234567", At: testTime}
}

func testRequest(method, target, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host, r.RemoteAddr = "abcdefghij.lambda-url.eu-west-1.localhost:4566", "203.0.113.9:51234"
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func TestEventGolden(t *testing.T) {
	signed := testSource("/iam")
	signed.AccountID = "123456789012"
	signed.Authorizer = &Authorizer{IAMAuthorizer{AccessKey: "AKIAMAYFLYEXAMPLE001", AccountID: "123456789012", CallerID: "AIDAEXAMPLE", UserARN: "arn:aws:iam::123456789012:user/u", UserID: "AIDAEXAMPLE"}}
	for _, tc := range []struct {
		name   string
		r      *http.Request
		body   string
		source EventSource
	}{
		{"get", testRequest("GET", "/", "", "User-Agent", "curl/8"), "", testSource("/")},
		{"everything", testRequest("POST", "/my/p%20th/%C3%BC?a=1&b=x%20y&a=2&empty&%C3%BC=%3D&bad=%zz", "", "Content-Type", "application/json; charset=utf-8",
			"Cookie", "c1=v1; c2=v2", "Cookie", "c3=v3", "X-Multi", "one", "X-Multi", "two", "Connection", "close, X-Hop", "X-Hop", "gone", "Te", "trailers",
			"X-Forwarded-For", "198.51.100.7", "User-Agent", "agent <1> & co"), `{"a":"ü <&>"}`, testSource("/my/p%20th/%C3%BC")},
		{"binary", testRequest("PUT", "/up", "", "Content-Type", "application/octet-stream"), "\x00\xff\x01", testSource("/up")},
		{"form", testRequest("POST", "/form", "", "Content-Type", "application/x-www-form-urlencoded"), "a=1&b=2", testSource("/form")},
		{"iam", testRequest("DELETE", "/iam", ""), "", signed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := NewEvent(tc.r, []byte(tc.body), tc.source).Encode()
			if err != nil {
				t.Fatal(err)
			}
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, got, "", "  "); err != nil {
				t.Fatal(err)
			}
			pretty.WriteByte('\n')
			file := filepath.Join("testdata", "event_"+tc.name+".json")
			if *update {
				if err := os.WriteFile(file, pretty.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(pretty.Bytes(), want) {
				t.Errorf("got\n%s\nwant\n%s", pretty.Bytes(), want)
			}
		})
	}
}

// TestEventDecodesInGo checks the event with the types that Go functions use.
func TestEventDecodesInGo(t *testing.T) {
	source := testSource("/x")
	source.Authorizer = &Authorizer{IAMAuthorizer{AccessKey: "AKIA", UserARN: "arn"}}
	b, err := NewEvent(testRequest("POST", "/x?a=1&a=2", "", "Cookie", "a=b", "Content-Type", "text/plain"), []byte("hi"), source).Encode()
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	var e events.LambdaFunctionURLRequest
	if err := dec.Decode(&e); err != nil {
		t.Fatal(err)
	}
	if e.Version != "2.0" || e.RawPath != "/x" || e.RawQueryString != "a=1&a=2" || e.QueryStringParameters["a"] != "1,2" || len(e.Cookies) != 1 ||
		e.Body != "hi" || e.IsBase64Encoded || e.Headers["content-type"] != "text/plain" || e.RequestContext.HTTP.Method != "POST" ||
		e.RequestContext.HTTP.SourceIP != "203.0.113.9" || e.RequestContext.TimeEpoch != testTime.UnixMilli() || e.RequestContext.Time != "12/Mar/2020:18:03:58 +0000" ||
		e.RequestContext.Authorizer.IAM.AccessKey != "AKIA" {
		t.Errorf("decoded %+v", e)
	}
	var v2 events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal(b, &v2); err != nil || v2.RequestContext.HTTP.Path != "/x" {
		t.Errorf("as an HTTP API's event: %+v, %v", v2, err)
	}
}

func TestTextual(t *testing.T) {
	for _, tc := range []struct {
		kind, body string
		want       bool
	}{
		{"text/plain", "x", true}, {"TEXT/HTML; charset=utf-8", "ü", true}, {"application/json", "{}", true}, {"application/problem+json", "{}", true},
		{"application/xml", "<a/>", true}, {"image/svg+xml", "<a/>", true}, {"application/javascript", "1", true}, {"application/x-javascript", "1", true},
		{"application/json;;bad", "{}", true}, {"", "x", false}, {"application/x-www-form-urlencoded", "a=1", false}, {"multipart/form-data; boundary=x", "x", false},
		{"image/png", "x", false}, {"application/octet-stream", "x", false}, {"application/jsonx", "x", false}, {"text/plain", "\xff", false},
	} {
		if got := textual(tc.kind, []byte(tc.body)); got != tc.want {
			t.Errorf("%q %q: %v", tc.kind, tc.body, got)
		}
	}
}

// FuzzEvent checks that any request gives an event that decodes to the same parts.
func FuzzEvent(f *testing.F) {
	f.Add("/a%20b?x=1&x=2", "Content-Type", "text/plain", []byte("body"))
	f.Add("/?a;b&=&%", "Cookie", "a=b;; c", []byte{0xff})
	f.Add("/%zz", "Connection", "x, y", []byte(nil))
	f.Fuzz(func(t *testing.T, target, name, value string, body []byte) {
		r := &http.Request{Method: "POST", Proto: "HTTP/1.1", Host: "h", Header: http.Header{http.CanonicalHeaderKey(name): {value}}, RemoteAddr: "192.0.2.1:1", RequestURI: target}
		path, query, _ := strings.Cut(target, "?")
		r.URL = mustURL(query)
		e := NewEvent(r, body, testSource(path))
		b, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		var back events.LambdaFunctionURLRequest
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatalf("%v in %s", err, b)
		}
		if len(body) > 0 && !e.IsBase64 && back.Body != string(body) {
			t.Fatalf("body %q came back as %q", body, back.Body)
		}
	})
}
