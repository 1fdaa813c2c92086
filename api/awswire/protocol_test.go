package awswire

import (
	"context"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
)

// bound has a member at each place that a REST request or answer has.
type bound struct {
	Name    *string    `aws:"Name,required,uri=Name"`
	Count   *int       `aws:"Count,query=count"`
	Since   *time.Time `aws:"Since,query=since"`
	Keys    []string   `aws:"Keys,query=key"`
	Trace   *string    `aws:"Trace,header=X-Trace"`
	Flag    *bool      `aws:"Flag,header=X-Flag"`
	Ratio   *float64   `aws:"Ratio,header=X-Ratio"`
	Status  *int       `aws:"Status,status"`
	Content []byte     `aws:"Content,payload"`
}

// wrapped has a structure as its payload.
type wrapped struct {
	Document *everything `aws:"Document,payload"`
}

func echoService(p Protocol) *Service {
	return &Service{Name: "echo", ID: "Echo", APIVersion: "2026-01-01", Protocol: p, JSONVersion: "1.1", TargetPrefix: "Echo_1", XMLNamespace: "https://echo/",
		Operations: []Operation{
			{Name: "Bound", Method: "PUT", URI: "/things/{Name}", Status: 200, NewInput: func() any { return new(bound) }, NewOutput: func() any { return new(bound) }},
			{Name: "Everything", Method: "POST", URI: "/", Status: 200, ResultWrapper: "EverythingResult",
				NewInput: func() any { return new(everything) }, NewOutput: func() any { return new(everything) }},
			{Name: "Wrapped", Method: "POST", URI: "/wrapped", Status: 200, NewInput: func() any { return new(wrapped) }, NewOutput: func() any { return new(wrapped) }},
		}}
}

func echoBack[T any](_ context.Context, _ *Request, in *T) (*T, error) { return in, nil }

func echoRouter(p Protocol) http.Handler {
	e := NewEndpoint(echoService(p), EndpointOptions{})
	Handle(e, "Bound", echoBack[bound])
	Handle(e, "Everything", echoBack[everything])
	Handle(e, "Wrapped", echoBack[wrapped])
	return NewRouter(RouterOptions{Services: []ServiceHandler{e}, NewRequestID: func() string { return "id" }})
}

func call(h http.Handler, method, target, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestRESTBindings(t *testing.T) {
	h := echoRouter(RestJSON)
	w := call(h, "PUT", "http://echo.localhost/things/a%2Fb?count=3&key=x&key=y&since=2026-01-02T03:04:05Z", "raw",
		"X-Trace", "t", "X-Flag", "true", "X-Ratio", "0.5")
	if w.Code != 200 || w.Body.String() != "raw" || w.Header().Get("X-Trace") != "t" || w.Header().Get("X-Flag") != "true" || w.Header().Get("X-Ratio") != "0.5" {
		t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
	}
	for _, tt := range []struct{ query, header, want string }{
		{"count=many", "true", `{"message":"'many' can not be converted to an Integer"}`},
		{"since=then", "true", `{"message":"The timestamp \"then\" cannot be read"}`},
		{"count=1", "maybe", `{"message":"'maybe' can not be converted to a Boolean"}`},
	} {
		w := call(h, "PUT", "http://echo.localhost/things/a?"+tt.query, "", "X-Flag", tt.header)
		if w.Code != 400 || w.Body.String() != tt.want || w.Header().Get("X-Amzn-ErrorType") != "SerializationException" {
			t.Errorf("%s %s: got %d %s", tt.query, tt.header, w.Code, w.Body)
		}
	}
	if w := call(h, "PUT", "http://echo.localhost/things/a?count=1", "", "X-Ratio", "much"); w.Body.String() != `{"message":"'much' can not be converted to a Double"}` {
		t.Errorf("got %s", w.Body)
	}
	if w := call(h, "POST", "http://echo.localhost/wrapped", `{"Text":"a"}`); w.Body.String() != `{"Text":"a"}` {
		t.Errorf("a structure as payload: got %s", w.Body)
	}
	if w := call(h, "POST", "http://echo.localhost/wrapped", ``); w.Code != 200 || w.Body.String() != `` {
		t.Errorf("no payload: got %d %s", w.Code, w.Body)
	}
}

func TestRESTStatus(t *testing.T) {
	header := http.Header{}
	b, status := encodeREST(header, testService, reflect.ValueOf(bound{Status: Ptr(202), Count: Ptr(1), Content: []byte("c")}), 200)
	if status != 202 || string(b) != "c" {
		t.Errorf("got %d %s", status, b)
	}
}

func TestJSONProtocol(t *testing.T) {
	h := echoRouter(JSON)
	w := call(h, "POST", "http://localhost/", `{"Text":"a","Time":1700000000}`, "X-Amz-Target", "Echo_1.Everything")
	if w.Code != 200 || w.Body.String() != `{"Text":"a","Time":1700000000}` || w.Header().Get("Content-Type") != "application/x-amz-json-1.1" {
		t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
	}
	w = call(h, "POST", "http://localhost/", `{}`, "X-Amz-Target", "Echo_1.Nothing")
	if w.Code != 400 || w.Body.String() != `{"__type":"UnknownOperationException","message":"Echo has no operation \"Nothing\""}` {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestQueryProtocol(t *testing.T) {
	h := echoRouter(Query)
	form := strings.Join([]string{"Action=Everything", "Version=2026-01-01", "Text=a%3Cb", "Number=3", "Flag=true", "Real=0.5", "Blob=AAE%3D",
		"Time=2026-01-02T03%3A04%3A05Z", "List.member.10=z", "List.member.2=y", "Map.entry.1.key=k", "Map.entry.1.value=v", "Map.entry.2.key=lost",
		"Nested.Structs.member.1.Text=n", "ByName.entry.1.key=b", "ByName.entry.1.value.Number=7", "otherName=o", "Unknown.member.1=x"}, "&")
	w := call(h, "POST", "http://localhost/", form, "Content-Type", "application/x-www-form-urlencoded")
	want := `<EverythingResponse xmlns="https://echo/"><EverythingResult><Text>a&lt;b</Text><Number>3</Number><Real>0.5</Real><Flag>true</Flag><Blob>AAE=</Blob>` +
		`<Time>2026-01-02T03:04:05Z</Time><List><member>y</member><member>z</member></List><Map><entry><key>k</key><value>v</value></entry></Map>` +
		`<Nested><Structs><member><Text>n</Text></member></Structs></Nested><ByName><entry><key>b</key><value><Number>7</Number></value></entry></ByName>` +
		`<otherName>o</otherName></EverythingResult><ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></EverythingResponse>`
	if w.Code != 200 || w.Body.String() != want {
		t.Errorf("got %d %s\nwant %s", w.Code, w.Body, want)
	}
	for _, bad := range []string{"Blob=!", "Number=x", "Flag=x", "Time=x"} {
		w := call(h, "POST", "http://localhost/", "Action=Everything&Version=2026-01-01&"+bad)
		if w.Code != 400 || !strings.Contains(w.Body.String(), "<Code>MalformedInput</Code>") {
			t.Errorf("%s: got %d %s", bad, w.Code, w.Body)
		}
	}
	if w := call(h, "POST", "http://localhost/", "a=%zz", "Content-Type", "application/x-www-form-urlencoded"); w.Code != 400 || !strings.Contains(w.Body.String(), "<Code>MalformedQueryString</Code>") {
		t.Errorf("a form that is none: got %d %s", w.Code, w.Body)
	}
	if w := call(h, "POST", "http://echo.localhost/", "Version=2026-01-01"); w.Code != 400 || !strings.Contains(w.Body.String(), "<Code>MissingAction</Code>") {
		t.Errorf("no action: got %d %s", w.Code, w.Body)
	}
}

func TestShortBody(t *testing.T) {
	r := httptest.NewRequest("PUT", "http://echo.localhost/things/a", strings.NewReader("abc"))
	r.ContentLength = 10
	w := httptest.NewRecorder()
	echoRouter(RestJSON).ServeHTTP(w, r)
	if w.Code != http.StatusRequestTimeout || !strings.Contains(w.Body.String(), "ended before its announced length") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestHandlePanicsOnMistakes(t *testing.T) {
	e := NewEndpoint(echoService(RestJSON), EndpointOptions{})
	for name, f := range map[string]func(){
		"unknown operation": func() { Handle(e, "Nope", echoBack[bound]) },
		"other types":       func() { Handle(e, "Bound", echoBack[everything]) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}
