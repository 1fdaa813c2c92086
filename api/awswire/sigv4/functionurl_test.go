package sigv4

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"mayfly"
	"mayfly/eventsource/httpgateway"
)

type urlPlatform struct{ event httpgateway.Event }

func (p *urlPlatform) URLByID(id string) (*mayfly.URLConfig, error) {
	return &mayfly.URLConfig{ID: id, Function: mayfly.FunctionID{Account: "123456789012", Region: "eu-west-1", Name: "f"}, AuthType: "AWS_IAM"}, nil
}

func (p *urlPlatform) Route(id mayfly.FunctionID, _ string) (*mayfly.Version, error) {
	return &mayfly.Version{ID: id}, nil
}

func (p *urlPlatform) Invoke(_ context.Context, inv *mayfly.Invocation) (*mayfly.Result, error) {
	return &mayfly.Result{Payload: []byte(`"ok"`)}, json.Unmarshal(inv.Payload, &p.event)
}

// TestFunctionURL calls a function URL with what AWS's signer makes, by host and by path, through a gateway.
func TestFunctionURL(t *testing.T) {
	for _, tc := range []struct {
		name, url, service string
		enabled, presign   bool
		tamper             string
		status             int
		body               string
	}{
		{"by host", "http://abc.lambda-url.eu-west-1.localhost/a%20b?x=1", "lambda", true, false, "", 200, "ok"},
		{"by path", "http://127.0.0.1:4566/_mayfly/url/abc/a%20b?x=1", "lambda", true, false, "", 200, "ok"},
		{"presigned", "http://abc.lambda-url.eu-west-1.localhost/a%20b?x=1", "lambda", true, true, "", 200, "ok"},
		{"no keys configured", "http://abc.lambda-url.eu-west-1.localhost/a%20b?x=1", "lambda", false, false, "", 200, "ok"},
		{"for another service", "http://abc.lambda-url.eu-west-1.localhost/a%20b?x=1", "s3", true, false, "", 403, `{"Message":"Forbidden"}`},
		{"other body", "http://abc.lambda-url.eu-west-1.localhost/a%20b?x=1", "lambda", true, false, "x", 403, `{"Message":"` + mismatchMessage + `"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := sign(t, signing{method: http.MethodPost, url: tc.url, body: "hi", service: tc.service, presign: tc.presign})
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Fatal(err)
			}
			r.Body, r.ContentLength, r.RemoteAddr = io.NopCloser(strings.NewReader(string(body)+tc.tamper)), int64(len(body)+len(tc.tamper)), "127.0.0.1:9"
			p := &urlPlatform{}
			w := httptest.NewRecorder()
			httpgateway.New(httpgateway.Options{Invoker: p, URLs: p, Authenticate: authenticator(tc.enabled).FunctionURL}).ServeURL(w, r)
			if w.Code != tc.status || w.Body.String() != tc.body {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			if tc.status == 200 && (p.event.RawPath != "/a%20b" || p.event.Context.Authorizer == nil || p.event.Context.Authorizer.IAM.AccessKey != testKey) {
				t.Errorf("event %+v", p.event)
			}
		})
	}
}
