package httpgateway

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mayfly"
)

const urlID = "abcdefghij"

var function = mayfly.FunctionID{Account: "123456789012", Region: "eu-west-1", Name: "f"}

// fake is a platform with one function URL.
type fake struct {
	config  mayfly.URLConfig
	urlErr  error
	payload string
	result  *mayfly.Result
	err     error

	got *mayfly.Invocation
	ctx context.Context
}

func (f *fake) URLByID(id string) (*mayfly.URLConfig, error) {
	if f.urlErr != nil {
		return nil, f.urlErr
	}
	if id != f.config.ID {
		return nil, mayfly.Errorf(mayfly.KindNotFound, "no such URL")
	}
	return &f.config, nil
}

func (f *fake) Route(id mayfly.FunctionID, qualifier string) (*mayfly.Version, error) {
	if id != function {
		return nil, mayfly.Errorf(mayfly.KindNotFound, "Function not found: %s", id.ARN(qualifier))
	}
	return &mayfly.Version{ID: id, Version: mayfly.Latest}, nil
}

func (f *fake) Invoke(ctx context.Context, inv *mayfly.Invocation) (*mayfly.Result, error) {
	f.got, f.ctx = inv, ctx
	if f.err != nil {
		return nil, f.err
	}
	if f.result != nil {
		return f.result, nil
	}
	return &mayfly.Result{Payload: []byte(f.payload)}, nil
}

func newFake() *fake {
	return &fake{config: mayfly.URLConfig{ID: urlID, Function: function, AuthType: "NONE", InvokeMode: "BUFFERED"}, payload: `"ok"`}
}

func newGateway(f *fake, change func(*Options)) *Gateway {
	o := Options{Invoker: f, URLs: f, Now: func() time.Time { return testTime }, NewID: func() string { return "0f9a2c6e-1111-4222-8333-444455556666" }}
	if change != nil {
		change(&o)
	}
	return New(o)
}

func serve(g *Gateway, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	g.ServeURL(w, r)
	return w.Result()
}

// exact returns the value of a header that must be written in just this case.
func exact(res *http.Response, name string) string { return strings.Join(res.Header[name], ",") }

func read(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (f *fake) event(t *testing.T) *Event {
	t.Helper()
	if f.got == nil {
		t.Fatal("the function was not invoked")
	}
	var e Event
	if err := json.Unmarshal(f.got.Payload, &e); err != nil {
		t.Fatal(err)
	}
	return &e
}

func TestTargets(t *testing.T) {
	f := newFake()
	g := newGateway(f, nil)
	for _, tc := range []struct {
		host, target string
		match        bool
		path, domain string // of the event; "" for 403
	}{
		{urlID + ".lambda-url.eu-west-1.localhost:4566", "/a%2Fb/?q=1", true, "/a%2Fb/", urlID + ".lambda-url.eu-west-1.localhost"},
		{"ABCDEFGHIJ.Lambda-Url.eu-west-1.example.com", "/", true, "/", "ABCDEFGHIJ.Lambda-Url.eu-west-1.example.com"},
		{urlID + ".lambda-url.us-east-1.localhost", "/", true, "", ""},
		{"other.lambda-url.eu-west-1.localhost", "/", true, "", ""},
		{"127.0.0.1:4566", "/_mayfly/url/" + urlID, true, "/", urlID + ".lambda-url.eu-west-1.localhost"},
		{"127.0.0.1:4566", "/_mayfly/url/" + urlID + "/", true, "/", urlID + ".lambda-url.eu-west-1.localhost"},
		{"[::1]:4566", "/_mayfly/url/" + urlID + "/x%20y//z?a=b", true, "/x%20y//z", urlID + ".lambda-url.eu-west-1.localhost"},
		{"127.0.0.1:4566", "/_mayfly/url/other/", true, "", ""},
		{"127.0.0.1:4566", "/_mayfly/url/", false, "", ""},
		{"127.0.0.1:4566", "/2015-03-31/functions", false, "", ""},
		{"lambda.us-east-1.localhost", "/", false, "", ""},
	} {
		r := httptest.NewRequest("GET", tc.target, nil)
		r.Host, f.got = tc.host, nil
		if got := g.Match(r); got != tc.match {
			t.Errorf("%s%s: match %v", tc.host, tc.target, got)
		}
		res := serve(g, r)
		if tc.path == "" {
			if body := read(t, res); res.StatusCode != 403 || body != `{"Message":null}` || f.got != nil || exact(res, "x-amzn-ErrorType") != "AccessDeniedException" {
				t.Errorf("%s%s: %d %s", tc.host, tc.target, res.StatusCode, body)
			}
			continue
		}
		e := f.event(t)
		if res.StatusCode != 200 || e.RawPath != tc.path || e.Context.HTTP.Path != tc.path || e.Context.DomainName != tc.domain || e.Context.DomainPrefix != urlID || e.Headers["host"] != tc.host {
			t.Errorf("%s%s: %d %+v", tc.host, tc.target, res.StatusCode, e)
		}
	}
}

func TestInvocation(t *testing.T) {
	f := newFake()
	f.config.Qualifier = "live"
	f.payload = `{"statusCode":201,"headers":{"X-A":"b","x-amzn-requestid":"forged"},"cookies":["c=d"],"body":"hi"}`
	ctx, cancel := context.WithCancel(context.Background())
	r := testRequest("POST", "/p?x=1", `{"a":1}`, "Content-Type", "application/json").WithContext(ctx)
	res := serve(newGateway(f, nil), r)
	if body := read(t, res); res.StatusCode != 201 || body != "hi" || res.Header.Get("X-A") != "b" || res.Header.Get("Set-Cookie") != "c=d" || res.Header.Get("Content-Type") != "application/json" || res.Header.Get("Content-Length") != "2" {
		t.Errorf("%d %v %s", res.StatusCode, res.Header, body)
	}
	const id = "0f9a2c6e-1111-4222-8333-444455556666"
	if exact(res, "x-amzn-RequestId") != id || res.Header.Get("X-Amzn-Requestid") != "" {
		t.Errorf("request ids %v", res.Header)
	}
	if !strings.HasPrefix(res.Header.Get("X-Amzn-Trace-Id"), "Root=1-5e6a798e-") || res.Header.Get("X-Amzn-Trace-Id") != f.got.TraceID || f.event(t).Headers["x-amzn-trace-id"] != f.got.TraceID {
		t.Errorf("trace %q, %q", res.Header.Get("X-Amzn-Trace-Id"), f.got.TraceID)
	}
	inv := f.got
	if inv.RequestID != id || inv.InvokedARN != function.ARN("live") || inv.Version.ID != function || inv.Source != "url" || !inv.ReceivedAt.Equal(testTime) {
		t.Errorf("invocation %+v", inv)
	}
	if e := f.event(t); e.Body != `{"a":1}` || e.Context.AccountID != "anonymous" || e.Context.Authorizer != nil || e.Context.RequestID != id || e.Headers["content-length"] != "7" {
		t.Errorf("event %+v", e)
	}
	cancel()
	if f.ctx.Err() != nil {
		t.Error("a client that hangs up stops the function")
	}

	given := "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"
	serve(newGateway(f, nil), testRequest("GET", "/", "", "X-Amzn-Trace-Id", given))
	if f.got.TraceID != given {
		t.Errorf("the caller's trace became %q", f.got.TraceID)
	}
}

func TestFailures(t *testing.T) {
	big := strings.Repeat("x", 2001)
	for _, tc := range []struct {
		name   string
		change func(*fake)
		body   string
		status int
		want   string
		kind   string
	}{
		{"function error", func(f *fake) {
			f.result = &mayfly.Result{FunctionError: "Unhandled", Payload: []byte(`{"errorMessage":"secret"}`)}
		}, "", 502, "Internal Server Error", ""},
		{"malformed response", func(f *fake) { f.payload = `{"statusCode":"x"}` }, "", 502, "Internal Server Error", ""},
		{"throttled", func(f *fake) {
			f.err = &mayfly.Error{Kind: mayfly.KindThrottled, Message: "m", Reason: "ConcurrentInvocationLimitExceeded", RetryAfter: 1500 * time.Millisecond}
		}, "", 429, `{"Reason":"ConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}`, "TooManyRequestsException"},
		{"our own failure", func(f *fake) { f.err = errors.New("disk on fire") }, "", 502, "Internal Server Error", "ServiceException"},
		{"shutting down", func(f *fake) { f.err = mayfly.Errorf(mayfly.KindUnavailable, "m") }, "", 503, `{"Message":"Service Unavailable"}`, "ServiceException"},
		{"function gone", func(f *fake) { f.config.Function.Name = "gone" }, "", 404, `{"Type":"User","Message":"Function not found: arn:aws:lambda:eu-west-1:123456789012:function:gone"}`, "ResourceNotFoundException"},
		{"registry failure", func(f *fake) { f.urlErr = errors.New("db") }, "", 502, "Internal Server Error", "ServiceException"},
		{"body too large", nil, big, 413, `{"Type":"User","message":"Request must be smaller than 2000 bytes for the InvokeFunction operation"}`, "RequestTooLargeException"},
		{"event too large", nil, big[:1500], 413, `{"Type":"User","message":"Request must be smaller than 2000 bytes for the InvokeFunction operation"}`, "RequestTooLargeException"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake()
			if tc.change != nil {
				tc.change(f)
			}
			g := newGateway(f, func(o *Options) { o.Limits = mayfly.DefaultLimits(); o.Limits.RequestBytes = 2000 })
			for _, chunked := range []bool{false, true} {
				r := testRequest("POST", "/", tc.body)
				if chunked {
					r.ContentLength = -1
				}
				res := serve(g, r)
				kind := exact(res, "x-amzn-ErrorType")
				if body := read(t, res); res.StatusCode != tc.status || body != tc.want || kind != tc.kind || res.Header.Get("Content-Type") != "application/json" {
					t.Errorf("%d %q %q", res.StatusCode, kind, body)
				}
				if tc.name == "throttled" && res.Header.Get("Retry-After") != "2" {
					t.Errorf("Retry-After %q", res.Header.Get("Retry-After"))
				}
				if tc.status == 413 && f.got != nil {
					t.Error("invoked with too large a body")
				}
			}
		})
	}
}

func TestIAM(t *testing.T) {
	scope := func(service string) string {
		return "AWS4-HMAC-SHA256 Credential=AKIAMAYFLYEXAMPLE001/20260304/eu-west-1/" + service + "/aws4_request, SignedHeaders=host, Signature=0"
	}
	query := "/?X-Amz-Credential=AKIAMAYFLYEXAMPLE001%2F20260304%2Feu-west-1%2Flambda%2Faws4_request&X-Amz-Signature=0"
	accept := func(r *http.Request, body []byte) (Caller, error) {
		if string(body) != "b" {
			return Caller{}, errors.New("not the body")
		}
		return Caller{AccessKeyID: "AKIAMAYFLYEXAMPLE001", Account: "111122223333", PrincipalARN: "arn:aws:iam::111122223333:user/u", UserID: "AIDA"}, nil
	}
	for _, tc := range []struct {
		name, target, auth string
		authenticate       func(*http.Request, []byte) (Caller, error)
		status             int
		want               string
	}{
		{"signed", "/", scope("lambda"), accept, 200, "ok"},
		{"presigned", query, "", accept, 200, "ok"},
		{"unsigned", "/", "", accept, 403, `{"Message":"Forbidden"}`},
		{"another service", "/", scope("s3"), accept, 403, `{"Message":"Forbidden"}`},
		{"not a signature", "/", "Bearer lambda/aws4_request", accept, 403, `{"Message":"Forbidden"}`},
		{"wrong signature", "/", scope("lambda"), func(*http.Request, []byte) (Caller, error) { return Caller{}, errors.New("does not match") }, 403, `{"Message":"does not match"}`},
		{"our own failure", "/", scope("lambda"), func(*http.Request, []byte) (Caller, error) {
			return Caller{}, mayfly.Errorf(mayfly.KindInternal, "db")
		}, 502, "Internal Server Error"},
		{"nobody to ask", "/", scope("lambda"), nil, 403, `{"Message":"Forbidden"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake()
			f.config.AuthType = "AWS_IAM"
			r := testRequest("POST", tc.target, "b")
			if tc.auth != "" {
				r.Header.Set("Authorization", tc.auth)
			}
			res := serve(newGateway(f, func(o *Options) { o.Authenticate = tc.authenticate }), r)
			if body := read(t, res); res.StatusCode != tc.status || body != tc.want {
				t.Fatalf("%d %s", res.StatusCode, body)
			}
			if tc.status != 200 {
				if f.got != nil {
					t.Error("invoked")
				}
				return
			}
			e := f.event(t)
			if e.Context.AccountID != function.Account || e.Context.Authorizer == nil || e.Context.Authorizer.IAM != (IAMAuthorizer{AccessKey: "AKIAMAYFLYEXAMPLE001", AccountID: "111122223333", CallerID: "AIDA", UserARN: "arn:aws:iam::111122223333:user/u", UserID: "AIDA"}) {
				t.Errorf("event %+v", e.Context)
			}
		})
	}
}

func TestUnknownAuthTypeIsRefused(t *testing.T) {
	f := newFake()
	f.config.AuthType = ""
	if res := serve(newGateway(f, nil), testRequest("GET", "/", "")); res.StatusCode != 403 || f.got != nil {
		t.Errorf("%d", res.StatusCode)
	}
}

// TestOverTheWire checks what only a real connection shows: HEAD, empty statuses, and what net/http adds.
func TestOverTheWire(t *testing.T) {
	f := newFake()
	srv := httptest.NewServer(newGateway(f, nil))
	defer srv.Close()
	do := func(request string) *http.Response {
		t.Helper()
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		method, _, _ := strings.Cut(request, " ")
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	host := "\r\nHost: " + urlID + ".lambda-url.eu-west-1.localhost\r\n"
	res := do("HEAD /x HTTP/1.1" + host + "\r\n")
	if res.StatusCode != 200 || res.Header.Get("Content-Length") != "2" || f.event(t).Context.HTTP.Method != "HEAD" {
		t.Errorf("HEAD: %+v", res)
	}
	f.payload = `{"statusCode":204,"body":"dropped"}`
	if res = do("DELETE / HTTP/1.1" + host + "\r\n"); res.StatusCode != 204 || read(t, res) != "" || res.Header.Get("Content-Length") != "" {
		t.Errorf("204: %+v", res)
	}
	f.payload = `""`
	if res = do("OPTIONS * HTTP/1.1" + host + "\r\n"); res.StatusCode != 200 {
		t.Logf("OPTIONS * is net/http's: %d", res.StatusCode)
	}
	if res = do("GET / HTTP/1.1" + host + "\r\n"); res.StatusCode != 200 || read(t, res) != "" || res.Header.Get("Content-Length") != "0" {
		t.Errorf("empty: %+v", res)
	}
	do("POST /a%zz?b=%zz HTTP/1.1" + host + "Content-Length: 0\r\n\r\n") // net/http refuses it; nothing may break
	res = do("POST /c HTTP/1.1" + host + "Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
	if e := f.event(t); res.StatusCode != 200 || e.Body != "abc" || e.Headers["content-length"] != "3" || e.Headers["transfer-encoding"] != "" || e.Context.HTTP.SourceIP != "127.0.0.1" {
		t.Errorf("chunked: %+v", f.event(t))
	}
}
