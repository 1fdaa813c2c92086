package runtimeapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
)

// fixture is an API on a loopback listener and a client that stands for the runtime.
type fixture struct {
	*API
	t      *testing.T
	base   string
	client *http.Client
	served chan error
	next   chan struct{} // one value for each OnNext
}

func newFixture(t *testing.T, o Options) *fixture {
	t.Helper()
	before := runtime.NumGoroutine()
	f := &fixture{t: t, served: make(chan error, 1), next: make(chan struct{}, 100)}
	o.OnNext = func() { f.next <- struct{}{} }
	f.API = New(o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.base = "http://" + l.Addr().String()
	f.client = &http.Client{Transport: &http.Transport{DisableCompression: true}}
	go func() { f.served <- f.Serve(l) }()
	t.Cleanup(func() {
		f.Close()
		f.Close() // idempotent
		if err := <-f.served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		f.client.CloseIdleConnections()
		waitGoroutines(t, before)
	})
	return f
}

// waitGoroutines fails the test when more goroutines than before remain.
func waitGoroutines(t *testing.T, before int) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<20)
			t.Errorf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
			return
		}
		runtime.Gosched()
		time.Sleep(time.Millisecond)
	}
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (f *fixture) do(method, path, body string, header ...string) answer {
	f.t.Helper()
	a, err := f.try(method, path, body, header...)
	if err != nil {
		f.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

func (f *fixture) try(method, path, body string, header ...string) (answer, error) {
	req, err := http.NewRequest(method, f.base+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(b)}, err
}

// nextAsync asks for the next event and waits until the API has the request pending.
func (f *fixture) nextAsync() <-chan answer {
	c := make(chan answer, 1)
	go func() {
		a, err := f.try("GET", nextPath, "")
		if err != nil {
			a.body = err.Error()
		}
		c <- a
	}()
	<-f.next
	return c
}

type result struct {
	Response
	err error
}

func (f *fixture) invokeAsync(ctx context.Context, ev Event) <-chan result {
	c := make(chan result, 1)
	go func() {
		r, err := f.Invoke(ctx, ev)
		c <- result{r, err}
	}()
	return c
}

func (f *fixture) running(id string) <-chan result {
	f.t.Helper()
	next := f.nextAsync()
	res := f.invokeAsync(context.Background(), Event{RequestID: id, Payload: []byte("{}")})
	if a := <-next; a.status != 200 {
		f.t.Fatalf("next: %+v", a)
	}
	return res
}

func TestInvoke(t *testing.T) {
	f := newFixture(t, Options{})
	if f.State() != "Started" {
		t.Errorf("state %s", f.State())
	}
	next := f.nextAsync()
	<-f.Ready()
	if !f.NextPending() || f.InitError() != nil {
		t.Errorf("pending %v, init error %v", f.NextPending(), f.InitError())
	}
	deadline := time.UnixMilli(1700000000123)
	res := f.invokeAsync(t.Context(), Event{
		RequestID: "id-1", ARN: "arn:aws:lambda:us-east-1:000000000000:function:f", TraceID: "Root=1-2-3",
		ClientContext: `{"a":1}`, CognitoIdentity: `{"cognitoIdentityId":"x"}`, Deadline: deadline, Payload: []byte(`{"k":"v"}`),
	})
	a := <-next
	for k, want := range map[string]string{
		"Lambda-Runtime-Aws-Request-Id":       "id-1",
		"Lambda-Runtime-Deadline-Ms":          "1700000000123",
		"Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:000000000000:function:f",
		"Lambda-Runtime-Trace-Id":             "Root=1-2-3",
		"Lambda-Runtime-Client-Context":       `{"a":1}`,
		"Lambda-Runtime-Cognito-Identity":     `{"cognitoIdentityId":"x"}`,
		"Content-Type":                        "application/json",
	} {
		if got := a.header.Get(k); got != want {
			t.Errorf("%s: got %q, want %q", k, got, want)
		}
	}
	if a.status != 200 || a.body != `{"k":"v"}` {
		t.Errorf("next: %d %q", a.status, a.body)
	}
	if f.NextPending() || f.State() != "Running" {
		t.Errorf("pending %v in state %s", f.NextPending(), f.State())
	}
	p := f.do("POST", invocationPath+"id-1/response", `"done"`, "Content-Type", "application/json")
	if p.status != 202 || p.body != "{\"status\":\"OK\"}\n" {
		t.Errorf("response: %+v", p)
	}
	r := <-res
	if r.err != nil || string(r.Payload) != `"done"` || r.Error != nil || r.ContentType != "application/json" || r.Handler <= 0 {
		t.Errorf("invoke: %+v", r)
	}
	// and once more on the same connection, the event being there before the runtime asks
	res = f.invokeAsync(t.Context(), Event{RequestID: "id-2"})
	for f.lastRequest() != "id-2" {
		runtime.Gosched()
	}
	if a := f.do("GET", nextPath, ""); a.header.Get(headerRequestID) != "id-2" || a.header.Get(headerTrace) != "" {
		t.Errorf("second next: %+v", a)
	}
	f.do("POST", invocationPath+"id-2/error", `{"errorType":"E"}`, headerErrorType, "Custom.E")
	r = <-res
	if r.err != nil || r.Error == nil || r.Error.Type != "Custom.E" || string(r.Payload) != `{"errorType":"E"}` {
		t.Errorf("error: %+v", r)
	}
}

func (f *fixture) lastRequest() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lastID
}

// TestOrder tries every call in every state; the table is what AWS's emulator answers.
func TestOrder(t *testing.T) {
	const denied = "{\"errorMessage\":\"State transition from %F to %T failed for runtime. Error: State transition is not allowed\"," +
		"\"errorType\":\"InvalidStateTransition\"}\n"
	const badID = "{\"errorMessage\":\"Invalid request ID\",\"errorType\":\"InvalidRequestID\"}\n"
	reach := map[string]func(*fixture){
		"Started": func(*fixture) {},
		"InitError": func(f *fixture) {
			f.do("POST", initErrorPath, "{}")
		},
		"Ready":   func(f *fixture) { f.nextAsync() },
		"Running": func(f *fixture) { f.running("id") },
		"RuntimeResponseSentState": func(f *fixture) {
			res := f.running("id")
			f.do("POST", invocationPath+"id/response", "1")
			<-res
		},
	}
	calls := []struct{ name, method, path, to string }{
		{"response", "POST", invocationPath + "id/response", "InvocationResponse"},
		{"error", "POST", invocationPath + "id/error", "InvocationErrorResponse"},
		{"wrong id", "POST", invocationPath + "other/response", ""},
		{"no id", "POST", invocationPath + "/response", ""},
		{"init error", "POST", initErrorPath, "InitError"},
	}
	ok := map[string]bool{"Running response": true, "Running error": true, "Started init error": true}
	noID := map[string]bool{"Started": true, "InitError": true, "Ready": true}
	for from, goThere := range reach {
		for _, c := range calls {
			t.Run(from+" "+c.name, func(t *testing.T) {
				f := newFixture(t, Options{})
				goThere(f)
				if f.State() != from {
					t.Fatalf("state %s, want %s", f.State(), from)
				}
				a := f.do(c.method, c.path, "{}")
				switch {
				case ok[from+" "+c.name]:
					if a.status != 202 {
						t.Errorf("got %+v", a)
					}
				case c.to == "" || (noID[from] && c.to != "InitError"):
					if a.status != 400 || a.body != badID {
						t.Errorf("got %+v", a)
					}
				default:
					want := strings.NewReplacer("%F", from, "%T", c.to).Replace(denied)
					if a.status != 403 || a.body != want {
						t.Errorf("got %+v, want %s", a, want)
					}
				}
				if !ok[from+" "+c.name] && f.State() != from {
					t.Errorf("a denied call moved the state from %s to %s", from, f.State())
				}
			})
		}
	}
	t.Run("next after init error", func(t *testing.T) {
		f := newFixture(t, Options{})
		f.do("POST", initErrorPath, "{}")
		a := f.do("GET", nextPath, "")
		want := strings.NewReplacer("%F", "InitError", "%T", "Ready").Replace(denied)
		if a.status != 403 || a.body != want {
			t.Errorf("got %+v", a)
		}
	})
}

func TestNextAgain(t *testing.T) {
	t.Run("while running gets the same event", func(t *testing.T) {
		f := newFixture(t, Options{})
		res := f.running("id")
		if a := f.do("GET", nextPath, ""); a.status != 200 || a.header.Get(headerRequestID) != "id" {
			t.Errorf("got %+v", a)
		}
		f.do("POST", invocationPath+"id/response", "1")
		if r := <-res; string(r.Payload) != "1" {
			t.Errorf("got %+v", r)
		}
	})
	t.Run("while waiting takes the place of the first", func(t *testing.T) {
		f := newFixture(t, Options{})
		first := f.nextAsync()
		second := f.nextAsync()
		if a := <-first; a.status != 403 {
			t.Errorf("first: %+v", a)
		}
		f.invokeAsync(t.Context(), Event{RequestID: "id"})
		if a := <-second; a.header.Get(headerRequestID) != "id" {
			t.Errorf("second: %+v", a)
		}
	})
	t.Run("after the connection broke", func(t *testing.T) {
		f := newFixture(t, Options{})
		c, err := net.Dial("tcp", strings.TrimPrefix(f.base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "GET "+nextPath+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-f.next
		_ = c.Close()
		next := f.nextAsync()
		f.invokeAsync(t.Context(), Event{RequestID: "id"})
		if a := <-next; a.header.Get(headerRequestID) != "id" {
			t.Errorf("got %+v", a)
		}
	})
}

func TestInitError(t *testing.T) {
	f := newFixture(t, Options{})
	res := f.invokeAsync(t.Context(), Event{RequestID: "id"}) // may come before or after the error
	a := f.do("POST", initErrorPath, `{"errorType":"Runtime.ImportModuleError"}`, headerErrorType, "Runtime.ImportModuleError")
	if a.status != 202 {
		t.Errorf("got %+v", a)
	}
	<-f.Ready()
	if e := f.InitError(); e == nil || e.Type != "Runtime.ImportModuleError" {
		t.Errorf("init error %v", e)
	}
	if r := <-res; r.err != nil || r.Error == nil || r.Error.Type != "Runtime.ImportModuleError" {
		t.Errorf("invoke: %+v", r)
	}
}

func TestTooLarge(t *testing.T) {
	const max = 1000
	wantBody := `{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"Response payload size exceeded maximum allowed payload size (1000 bytes)."}`
	want413 := "{\"errorMessage\":\"Exceeded maximum allowed payload size (1000 bytes).\",\"errorType\":\"RequestEntityTooLarge\"}\n"
	for _, chunked := range []bool{false, true} {
		for _, path := range []string{"id/response", "id/error"} {
			f := newFixture(t, Options{MaxResponse: max})
			res := f.running("id")
			var body io.Reader = strings.NewReader(strings.Repeat("x", 5<<20))
			if chunked {
				body = io.MultiReader(body) // hides the length
			}
			resp, err := f.client.Post(f.base+invocationPath+path, "application/json", body)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != 413 || string(got) != want413 {
				t.Errorf("%s: %d %s", path, resp.StatusCode, got)
			}
			r := <-res
			if r.Error == nil || r.Error.Type != "Function.ResponseSizeTooLarge" || string(r.Payload) != wantBody {
				t.Errorf("%s: %+v", path, r)
			}
			// the instance goes on
			next := f.nextAsync()
			f.invokeAsync(t.Context(), Event{RequestID: "id2"})
			if a := <-next; a.header.Get(headerRequestID) != "id2" {
				t.Errorf("%s: next %+v", path, a)
			}
		}
	}
	f := newFixture(t, Options{})
	res := f.running("id")
	if a := f.do("POST", invocationPath+"id/response", strings.Repeat("x", 6291556)); a.status != 202 {
		t.Errorf("a response of exactly the limit: %d %s", a.status, a.body)
	}
	if r := <-res; len(r.Payload) != 6291556 || r.Error != nil {
		t.Errorf("a response of exactly the limit: %d bytes, %v", len(r.Payload), r.Error)
	}
}

func TestStreaming(t *testing.T) {
	stream := func(f *fixture, fail bool) answer {
		pr, pw := io.Pipe()
		req, err := http.NewRequest("POST", f.base+invocationPath+"id/response", pr)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(headerResponseMode, "streaming")
		req.Header.Set("Content-Type", "application/vnd.awslambda.http-integration-response")
		if fail {
			req.Trailer = http.Header{headerErrorType: nil, headerErrorBody: nil}
		}
		go func() {
			_, _ = io.WriteString(pw, "part 1,")
			_, _ = io.WriteString(pw, "part 2")
			if fail {
				req.Trailer.Set(headerErrorType, "Error")
				req.Trailer.Set(headerErrorBody, "eyJlcnJvclR5cGUiOiJFcnJvciJ9")
			}
			_ = pw.Close()
		}()
		resp, err := f.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return answer{resp.StatusCode, resp.Header, string(b)}
	}
	f := newFixture(t, Options{})
	res := f.running("id")
	if a := stream(f, false); a.status != 202 {
		t.Errorf("got %+v", a)
	}
	r := <-res
	if string(r.Payload) != "part 1,part 2" || !r.Streaming || r.ContentType != "application/vnd.awslambda.http-integration-response" {
		t.Errorf("got %+v", r)
	}
	f = newFixture(t, Options{})
	res = f.running("id")
	stream(f, true)
	if r := <-res; r.Error == nil || r.Error.Type != "Error" || string(r.Payload) != `{"errorType":"Error"}` {
		t.Errorf("got %+v", r)
	}
}

func TestTruncated(t *testing.T) {
	f := newFixture(t, Options{})
	res := f.running("id")
	c, err := net.Dial("tcp", strings.TrimPrefix(f.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "POST "+invocationPath+"id/response HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc"); err != nil {
		t.Fatal(err)
	}
	_ = c.(*net.TCPConn).CloseWrite()
	got, _ := io.ReadAll(c)
	_ = c.Close()
	if !bytes.Contains(got, []byte("TruncatedHTTPRequest")) {
		t.Errorf("got %s", got)
	}
	if a := f.do("POST", invocationPath+"id/response", "1"); a.status != 202 {
		t.Errorf("a second try: %+v", a)
	}
	if r := <-res; string(r.Payload) != "1" {
		t.Errorf("got %+v", r)
	}
}

func TestCancelAndClose(t *testing.T) {
	f := newFixture(t, Options{})
	next := f.nextAsync()
	ctx, cancel := context.WithCancelCause(t.Context())
	res := f.invokeAsync(ctx, Event{RequestID: "id"})
	<-next
	if _, err := f.Invoke(t.Context(), Event{RequestID: "id2"}); !errors.Is(err, ErrBusy) {
		t.Errorf("second invoke: %v", err)
	}
	why := errors.New("timed out")
	cancel(why)
	if r := <-res; !errors.Is(r.err, ErrCanceled) || !errors.Is(r.err, why) {
		t.Errorf("got %v", r.err)
	}
	if _, err := f.Invoke(t.Context(), Event{RequestID: "id2"}); !errors.Is(err, ErrBusy) {
		t.Errorf("invoke on a dead instance: %v", err)
	}
	if a := f.do("POST", invocationPath+"id/response", "late"); a.status != 403 {
		t.Errorf("late response: %+v", a)
	}

	f = newFixture(t, Options{})
	res = f.running("id")
	f.Close()
	if r := <-res; !errors.Is(r.err, ErrClosed) {
		t.Errorf("got %v", r.err)
	}
	if _, err := f.Invoke(t.Context(), Event{RequestID: "id2"}); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}

	f = newFixture(t, Options{})
	next = f.nextAsync()
	f.Close()
	if a := <-next; a.status != 0 {
		t.Errorf("a waiting next was answered at Close: %+v", a)
	}
}

func TestUnsupported(t *testing.T) {
	f := newFixture(t, Options{})
	for _, c := range []struct {
		method, path string
		status       int
		contains     string
	}{
		{"GET", "/2018-06-01/ping", 200, "pong"},
		{"POST", "/2020-01-01/extension/register", 403, "Extension.NotSupported"},
		{"PUT", "/2022-07-01/telemetry", 202, "Telemetry.NotSupported"},
		{"PUT", "/2020-08-15/logs", 202, "Logs.NotSupported"},
		{"GET", "/2018-06-01/runtime/restore/next", 404, "Restore.NotSupported"},
		{"GET", "/", 404, ""},
		{"GET", invocationPath + "id/other", 404, ""},
		{"POST", nextPath, 405, ""},
		{"GET", initErrorPath, 405, ""},
		{"GET", invocationPath + "id/response", 405, ""},
	} {
		if a := f.do(c.method, c.path, ""); a.status != c.status || !strings.Contains(a.body, c.contains) {
			t.Errorf("%s %s: got %+v", c.method, c.path, a)
		}
	}
	if f.State() != "Started" {
		t.Errorf("state %s", f.State())
	}
}

func TestErrorCause(t *testing.T) {
	f := newFixture(t, Options{})
	res := f.running("id")
	f.do("POST", invocationPath+"id/error", `{"errorMessage":"m","errorType":"T","errorCause":{"x":1}}`, "Content-Type", errorCauseType)
	if r := <-res; string(r.Payload) != `{"errorMessage":"m","errorType":"T"}` || r.ContentType != "application/json" || r.Error.Type != "T" {
		t.Errorf("got %s, %+v", r.Payload, r.Error)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	f := newFixture(t, Options{})
	var open []net.Conn
	refused := 0
	for range maxConns + 8 {
		c, err := net.Dial("tcp", strings.TrimPrefix(f.base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "GET /2018-06-01/ping HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			refused++
			_ = c.Close()
			continue
		}
		if _, err := c.Read(make([]byte, 1)); err != nil {
			refused++
		}
		open = append(open, c)
	}
	if refused != 8 {
		t.Errorf("%d of %d connections refused", refused, maxConns+8)
	}
	for _, c := range open {
		_ = c.Close()
	}
	// closed connections make room again
	deadline := time.Now().Add(10 * time.Second)
	for {
		if a, err := f.try("GET", "/2018-06-01/ping", ""); err == nil && a.status == 200 {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("no room: %v", err)
		}
		runtime.Gosched()
	}
}

func TestHugeHeaders(t *testing.T) {
	f := newFixture(t, Options{})
	res := f.running("id")
	a, err := f.try("POST", invocationPath+"id/error", "{}", "X-Big", strings.Repeat("x", 4<<20))
	if err == nil && a.status != 431 {
		t.Errorf("got %+v", a.status)
	}
	if a := f.do("POST", invocationPath+"id/error", "{}", "Lambda-Runtime-Function-XRay-Error-Cause", strings.Repeat("x", 1<<20-1)); a.status != 202 {
		t.Errorf("1 MB of error cause: %d", a.status)
	}
	<-res
}
