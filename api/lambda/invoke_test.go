package lambda_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"mayfly"
	"mayfly/api/awswire"
	"mayfly/api/lambda"
)

var functionID = mayfly.FunctionID{Account: "000000000000", Region: "us-east-1", Name: "f"}

func withFunction(state mayfly.State) *fakeFunctions {
	f := newFake()
	f.versions[functionID] = &mayfly.Version{ID: functionID, Version: mayfly.Latest, State: state, Code: f.store([]byte("zip"))}
	return f
}

// quiet is a response writer that keeps nothing, so that only the handler's own allocations are counted.
type quiet struct{ header http.Header }

func (q *quiet) Header() http.Header         { return q.header }
func (q *quiet) Write(b []byte) (int, error) { return len(b), nil }
func (q *quiet) WriteHeader(int)             {}

type body struct{ *strings.Reader }

func (body) Close() error { return nil }

// TestInvokeAllocations guards the hot path: what a warm invocation allocates on its way through the front door.
func TestInvokeAllocations(t *testing.T) {
	s := newServer(withFunction(mayfly.StateActive))
	const payload = `{"a":1}`
	r := httptest.NewRequest("POST", "http://localhost/2015-03-31/functions/f/invocations", nil)
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=00")
	r.ContentLength = int64(len(payload))
	w := &quiet{http.Header{}}
	router := awswire.NewRouter(awswire.RouterOptions{Services: []awswire.ServiceHandler{s.lambda}})
	n := testing.AllocsPerRun(100, func() {
		clear(w.header)
		r.Body = body{strings.NewReader(payload)}
		router.ServeHTTP(w, r)
	})
	if s.invoker.last == nil || string(s.invoker.last.Payload) != payload {
		t.Fatalf("the function was not invoked: %+v", s.invoker.last)
	}
	if n > 14 {
		t.Errorf("an invocation allocates %v times at the front door, more than 14", n)
	}
}

func TestInvokeWhileNotActive(t *testing.T) {
	for _, state := range []mayfly.State{mayfly.StatePending, mayfly.StateFailed} {
		s := newServer(withFunction(state))
		got := play(t, s, "POST /2015-03-31/functions/f/invocations")
		want := "409\nContent-Type: application/json\nX-Amzn-Errortype: ResourceConflictException\n\n" +
			`{"Type":"User","message":"The operation cannot be performed at this time. The function is currently in the following state: ` + string(state) + `"}`
		if got != want || s.invoker.last != nil {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
}

type queue struct{ last *mayfly.Invocation }

func (q *queue) InvokeAsync(_ context.Context, inv *mayfly.Invocation) error {
	q.last = inv
	return nil
}

func TestEventGoesToTheQueueWhenThereIsOne(t *testing.T) {
	q := new(queue)
	s := lambda.New(lambda.Options{Functions: withFunction(mayfly.StateActive), Async: q})
	h := awswire.NewRouter(awswire.RouterOptions{Services: []awswire.ServiceHandler{s}})
	if got := play(t, h, "POST /2015-03-31/functions/f/invocations\nX-Amz-Invocation-Type: Event\n\n{}"); got != "202" || string(q.last.Payload) != "{}" {
		t.Errorf("got %s, queued %+v", got, q.last)
	}
}

func TestCodeLinks(t *testing.T) {
	functions := withFunction(mayfly.StateActive)
	s := newServer(functions)
	out := play(t, s, "GET /2015-03-31/functions/f")
	_, link, _ := strings.Cut(out, `"Location":"http://localhost:4566`)
	link, _, _ = strings.Cut(link, `"`)
	for _, tt := range []struct{ name, method, link, want string }{
		{"good", "GET", link, "200\nContent-Disposition: attachment; filename=\"f.zip\"\nContent-Type: application/zip\n\nzip"},
		{"head", "HEAD", link, "200\nContent-Disposition: attachment; filename=\"f.zip\"\nContent-Type: application/zip"},
		{"other method", "POST", link, "405\n"},
		{"other function", "GET", strings.Replace(link, "/f/", "/g/", 1), "403\n"},
		{"longer life", "GET", strings.Replace(link, "Expires=1", "Expires=2", 1), "403\n"},
		{"no signature", "GET", strings.Split(link, "?")[0], "403\n"},
	} {
		if got := play(t, s, tt.method+" "+tt.link); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: got %s", tt.name, got)
		}
	}
	functions.versions[functionID] = &mayfly.Version{ID: functionID, Version: mayfly.Latest, Code: functions.store([]byte("other"))}
	if got := play(t, s, "GET "+link); !strings.HasPrefix(got, "404\n") {
		t.Errorf("after the code changed: got %s", got)
	}
}

func TestEnvironmentLimit(t *testing.T) {
	s := newServer(withFunction(mayfly.StateActive))
	got := play(t, s, "PUT /2015-03-31/functions/f/configuration\n\n"+`{"Environment":{"Variables":{"KEY":"`+strings.Repeat("x", 4096)+`"}}}`)
	if !strings.Contains(got, `exceeded the 4KB limit. String measured: {\"KEY\":\"xxx`) {
		t.Error(got)
	}
	got = play(t, s, "PUT /2015-03-31/functions/f/configuration\n\n"+`{"Description":"`+strings.Repeat("x", 5200)+`"}`)
	if !strings.Contains(got, "Request must be smaller than 5120 bytes for the UpdateFunctionConfiguration operation") {
		t.Error(got)
	}
}
