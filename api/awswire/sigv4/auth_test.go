package sigv4

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"mayfly/api/awswire"
)

type fakeSource struct {
	fakeKeys
	enabled bool
}

func (f fakeSource) Enabled() bool { return f.enabled }

var (
	stsService    = &awswire.Service{Name: "sts", Protocol: awswire.Query}
	lambdaService = &awswire.Service{Name: "lambda", Protocol: awswire.RestJSON}
)

func authenticator(enabled bool) *Authenticator {
	return NewAuthenticator(Options{Source: fakeSource{fakeKeys{testKey: testSecret, "ASIAMAYFLYEXAMPLE001token": testSecret}, enabled}, Now: func() time.Time { return testTime }})
}

func TestAuthenticate(t *testing.T) {
	signed := func() *http.Request { return sign(t, signings["query form"]) }
	unsigned := func(headers ...string) func() *http.Request {
		return func() *http.Request { return readRequest(t, "GET", "/", headers) }
	}
	local := func(id string) func() *http.Request {
		return unsigned("Authorization: AWS4-HMAC-SHA256 Credential="+id+"/20260304/eu-west-1/lambda/aws4_request, SignedHeaders=host, Signature=0", "X-Amz-Date: 20200101T000000Z")
	}
	from := func(addr string, f func() *http.Request) func() *http.Request {
		return func() *http.Request { r := f(); r.RemoteAddr = addr; return r }
	}
	browser := func(host string, headers ...string) func() *http.Request {
		return func() *http.Request { r := unsigned(headers...)(); r.Host = host; return r }
	}
	for _, tc := range []struct {
		name    string
		enabled bool
		request func() *http.Request
		service *awswire.Service
		want    awswire.Identity
		code    string
	}{
		{"keys configured, signed", true, signed, stsService, awswire.Identity{AccessKeyID: testKey, Account: "123456789012", PrincipalARN: "arn:aws:iam::123456789012:root", Verified: true}, ""},
		{"keys configured, for another service", true, signed, &awswire.Service{Name: "iam", Protocol: awswire.Query}, awswire.Identity{}, "SignatureDoesNotMatch"},
		{"keys configured, unsigned query", true, unsigned(), stsService, awswire.Identity{}, "MissingAuthenticationToken"},
		{"keys configured, unsigned rest", true, unsigned(), lambdaService, awswire.Identity{}, "MissingAuthenticationTokenException"},
		{"keys configured, loopback is not enough", true, from("127.0.0.1:5", local("test")), lambdaService, awswire.Identity{}, "InvalidSignatureException"},
		{"no keys, loopback, any key", false, from("127.0.0.1:5", local("test")), lambdaService, awswire.Identity{AccessKeyID: "test", Account: "000000000000", PrincipalARN: "arn:aws:iam::000000000000:root"}, ""},
		{"no keys, loopback, account key", false, from("[::1]:5", local("111122223333")), lambdaService, awswire.Identity{AccessKeyID: "111122223333", Account: "111122223333", PrincipalARN: "arn:aws:iam::111122223333:root"}, ""},
		{"no keys, loopback, unsigned", false, unsigned(), lambdaService, awswire.Identity{Account: "000000000000", PrincipalARN: "arn:aws:iam::000000000000:root"}, ""},
		{"no keys, elsewhere, unsigned", false, from("10.0.0.1:5", unsigned()), lambdaService, awswire.Identity{}, "MissingAuthenticationTokenException"},
		{"no keys, elsewhere, made-up key", false, from("10.0.0.1:5", local("test")), lambdaService, awswire.Identity{}, "InvalidSignatureException"},
		{"no keys, elsewhere, session credentials", false, from("10.0.0.1:5", func() *http.Request { return sign(t, signings["session token"]) }), lambdaService,
			awswire.Identity{AccessKeyID: "ASIAMAYFLYEXAMPLE001", Account: "123456789012", PrincipalARN: "arn:aws:iam::123456789012:root", Verified: true}, ""},
		{"no keys, loopback, session credentials", false, func() *http.Request { return sign(t, signings["session token"]) }, lambdaService,
			awswire.Identity{AccessKeyID: "ASIAMAYFLYEXAMPLE001", Account: "123456789012", PrincipalARN: "arn:aws:iam::123456789012:root"}, ""},
		{"no keys, page of another site", false, browser("localhost:4566", "Origin: https://evil.example"), lambdaService, awswire.Identity{}, "AccessDeniedException"},
		{"no keys, sandboxed page", false, browser("localhost:4566", "Origin: null"), lambdaService, awswire.Identity{}, "AccessDeniedException"},
		{"no keys, image of another site", false, browser("localhost:4566", "Sec-Fetch-Site: cross-site"), lambdaService, awswire.Identity{}, "AccessDeniedException"},
		{"no keys, name bound to loopback", false, browser("evil.example:4566", "Sec-Fetch-Site: same-origin"), lambdaService, awswire.Identity{}, "AccessDeniedException"},
		{"no keys, page on this machine", false, browser("127.0.0.1:4566", "Origin: http://localhost:3000", "Sec-Fetch-Site: same-site"), lambdaService, awswire.Identity{Account: "000000000000", PrincipalARN: "arn:aws:iam::000000000000:root"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := authenticator(tc.enabled).Authenticate(tc.request(), tc.service, func() ([]byte, error) {
				return []byte(signings["query form"].body)[:len(signings["query form"].body)*boolInt(tc.service != lambdaService)], nil
			})
			if err != nil {
				if err.Code != tc.code {
					t.Fatalf("got %v, want code %q", err, tc.code)
				}
				return
			}
			if tc.code != "" || got != tc.want {
				t.Errorf("got %+v, want %+v or code %q", got, tc.want, tc.code)
			}
		})
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestAuthenticateFailures(t *testing.T) {
	tooLarge := &awswire.Error{Code: "RequestEntityTooLargeException", Status: 413}
	_, err := authenticator(true).Authenticate(sign(t, signings["query form"]), stsService, func() ([]byte, error) { return nil, tooLarge })
	if err != tooLarge {
		t.Errorf("a body's own error became %v", err)
	}
	read := false
	_, err = authenticator(true).Authenticate(readRequest(t, "POST", "/", nil), stsService, func() ([]byte, error) { read = true; return nil, nil })
	if err == nil || read {
		t.Error("the body of an unsigned request was read")
	}
	a := NewAuthenticator(Options{Source: struct {
		brokenKeys
		enabledAlways
	}{}, Now: func() time.Time { return testTime }})
	_, err = a.Authenticate(sign(t, signings["query form"]), stsService, func() ([]byte, error) { return []byte(signings["query form"].body), nil })
	if err == nil || err.Status != 500 || strings.Contains(err.Message, "EOF") || err.Err == nil {
		t.Errorf("a failure of our own became %v", err)
	}
}

type enabledAlways struct{}

func (enabledAlways) Enabled() bool { return true }

func TestLoopback(t *testing.T) {
	for addr, want := range map[string]bool{"127.0.0.1:1": true, "[::1]:1": true, "127.9.9.9:1": true, "@": true, "": true, "192.0.2.1:1": false, "[2001:db8::1]:1": false, "junk": false} {
		if Loopback(&http.Request{RemoteAddr: addr}) != want {
			t.Errorf("Loopback(%q) is %v", addr, !want)
		}
	}
}
