package sigv4

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"mayfly/identity"
)

func hexString(b []byte) string { return hex.EncodeToString(b) }

const (
	testKey    = "AKIAMAYFLYEXAMPLE001"
	testSecret = "a-secret-that-only-the-test-knows"
)

var testTime = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func testVerifier() *Verifier {
	return NewVerifier(fakeKeys{testKey: testSecret, "ASIAMAYFLYEXAMPLE001token": testSecret}, func() time.Time { return testTime })
}

func sha(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

type signing struct {
	method, url, body, service string
	headers                    map[string]string
	token                      string
	at                         time.Time
	presign                    bool
	hash                       string
}

// sign lets AWS's own signer sign a request and returns it as a server receives it.
func sign(t testing.TB, in signing) *http.Request {
	t.Helper()
	if in.at.IsZero() {
		in.at = testTime
	}
	if in.hash == "" {
		in.hash = sha(in.body)
	}
	r, err := http.NewRequest(in.method, in.url, strings.NewReader(in.body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range in.headers {
		r.Header.Set(k, v)
	}
	creds := aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret}
	if in.token != "" {
		creds.AccessKeyID, creds.SessionToken = "ASIAMAYFLYEXAMPLE001", in.token
	}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = in.service == "s3" })
	if in.presign {
		uri, header, err := signer.PresignHTTP(context.Background(), creds, r, in.hash, in.service, "eu-west-1", in.at)
		if err != nil {
			t.Fatal(err)
		}
		r, err = http.NewRequest(in.method, uri, strings.NewReader(in.body))
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range header {
			if k != "Host" {
				r.Header[k] = v
			}
		}
	} else if err := signer.SignHTTP(context.Background(), creds, r, in.hash, in.service, "eu-west-1", in.at); err != nil {
		t.Fatal(err)
	}
	return overTheWire(t, r)
}

func overTheWire(t testing.TB, r *http.Request) *http.Request {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return parseWire(t, b.Bytes())
}

var signings = map[string]signing{
	"lambda invoke": {method: "POST", url: "http://127.0.0.1:4566/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A000000000000%3Afunction%3Af/invocations?Qualifier=%24LATEST",
		body: `{"a":1}`, service: "lambda", headers: map[string]string{"Content-Type": "application/json", "X-Amz-Invocation-Type": "RequestResponse"}},
	"query form": {method: "POST", url: "http://localhost:4566/", body: "Action=GetCallerIdentity&Version=2011-06-15", service: "sts",
		headers: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}},
	"get with odd query": {method: "GET", url: "http://localhost/a%20b/%E1%88%B4/c+d?x=1&x=0&y=a%20b&z&q=%7B%22a%22%3A%2F%7D&semi=a%3Bb", service: "lambda"},
	"session token":      {method: "GET", url: "http://localhost/2015-03-31/functions/", service: "lambda", token: "token"},
	"payload hash":       {method: "PUT", url: "http://localhost/k", body: "hello", service: "lambda", headers: map[string]string{"X-Amz-Content-Sha256": sha("hello")}},
	"unsigned payload":   {method: "PUT", url: "http://localhost/b/key%20with%2Fslash%2Bplus", body: "hello", service: "s3", hash: UnsignedPayload, headers: map[string]string{"X-Amz-Content-Sha256": UnsignedPayload}},
	"dot segments":       {method: "GET", url: "http://localhost/a//b/../c/", service: "lambda"},
	"presigned sts":      {method: "GET", url: "http://localhost/?Action=GetCallerIdentity&Version=2011-06-15", service: "sts", presign: true},
	"presigned expires":  {method: "GET", url: "http://localhost/x?X-Amz-Expires=3600", service: "lambda", presign: true, token: "token", at: testTime.Add(-59 * time.Minute)},
	"presigned s3":       {method: "GET", url: "http://localhost/b/k?X-Amz-Expires=604800", service: "s3", presign: true, hash: UnsignedPayload, at: testTime.Add(-6 * 24 * time.Hour)},
	"presigned header":   {method: "GET", url: "http://localhost/x?X-Amz-Expires=60", service: "lambda", presign: true, headers: map[string]string{"X-Custom": "v"}},
}

func TestAcceptsWhatTheSDKSigns(t *testing.T) {
	v := testVerifier()
	for name, in := range signings {
		t.Run(name, func(t *testing.T) {
			for range 2 { // the second time with a cached signing key
				s, key, err := v.Verify(sign(t, in), []byte(in.body), in.service)
				if err != nil {
					t.Fatal(err)
				}
				if s.Region != "eu-west-1" || s.Service != in.service || s.Presigned != in.presign || key.Secret != testSecret {
					t.Errorf("got %+v %+v", s, key)
				}
			}
		})
	}
}

// TestRefusesAnyTampering changes one thing of a signed request at a time; none may pass.
func TestRefusesAnyTampering(t *testing.T) {
	v := testVerifier()
	replace := func(old, new string) func(*http.Request, *[]byte) {
		return func(r *http.Request, _ *[]byte) {
			if auth := r.Header.Get("Authorization"); auth != "" {
				r.Header.Set("Authorization", strings.Replace(auth, old, new, 1))
			}
			r.URL.RawQuery = strings.Replace(r.URL.RawQuery, strings.ReplaceAll(old, "/", "%2F"), strings.ReplaceAll(new, "/", "%2F"), 1)
		}
	}
	flipSignature := func(r *http.Request, _ *[]byte) {
		flip := func(s string) string {
			i := strings.Index(s, "Signature=") + len("Signature=") + 5
			c := byte('0')
			if s[i] == '0' {
				c = '1'
			}
			return s[:i] + string(c) + s[i+1:]
		}
		if auth := r.Header.Get("Authorization"); auth != "" {
			r.Header.Set("Authorization", flip(auth))
		} else {
			r.URL.RawQuery = flip(r.URL.RawQuery)
		}
	}
	mutations := []struct {
		name   string
		change func(*http.Request, *[]byte)
		reason Reason
		only   func(signing) bool // nil: all
	}{
		{name: "method", change: func(r *http.Request, _ *[]byte) { r.Method = "DELETE" }, reason: Mismatch},
		{name: "path", change: func(r *http.Request, _ *[]byte) {
			r.URL.Path += "x"
			r.URL.RawPath = ""
			r.RequestURI = r.URL.RequestURI()
		}, reason: Mismatch},
		{name: "query added", change: func(r *http.Request, _ *[]byte) { r.URL.RawQuery += "&evil=1" }, reason: Mismatch},
		{name: "host", change: func(r *http.Request, _ *[]byte) { r.Host = "evil.example" }, reason: Mismatch},
		{name: "signature", change: flipSignature, reason: Mismatch},
		{name: "signature upper case", change: func(r *http.Request, _ *[]byte) {
			i := strings.Index(r.Header.Get("Authorization"), "Signature=")
			r.Header.Set("Authorization", r.Header.Get("Authorization")[:i]+"Signature="+strings.Repeat("A", 64))
		}, reason: Mismatch, only: func(s signing) bool { return !s.presign }},
		{name: "region", change: replace("/eu-west-1/", "/us-east-1/"), reason: Mismatch},
		{name: "key", change: replace("MAYFLYEXAMPLE001", "MAYFLYEXAMPLE002"), reason: UnknownKey},
		{name: "terminator", change: replace("aws4_request", "aws5_request"), reason: Mismatch},
		{name: "scope date", change: replace("/20260304/", "/20260305/"), reason: Mismatch, only: func(s signing) bool { return s.at.IsZero() }},
		{name: "body", change: func(_ *http.Request, b *[]byte) { *b = append(*b, 'x') }, reason: Mismatch,
			only: func(s signing) bool { return s.hash == "" && s.headers["X-Amz-Content-Sha256"] == "" }},
		{name: "body with its digest in a header", change: func(_ *http.Request, b *[]byte) { *b = append(*b, 'x') }, reason: PayloadMismatch,
			only: func(s signing) bool { return len(s.headers["X-Amz-Content-Sha256"]) == 64 }},
		{name: "x-amz header added", change: func(r *http.Request, _ *[]byte) { r.Header.Set("X-Amz-Log-Type", "Tail") }, reason: UnsignedHeaders},
		{name: "signed header changed", change: func(r *http.Request, _ *[]byte) { r.Header.Set("X-Amz-Invocation-Type", "Event") }, reason: Mismatch,
			only: func(s signing) bool { return s.headers["X-Amz-Invocation-Type"] != "" }},
		{name: "token removed", change: func(r *http.Request, _ *[]byte) {
			r.Header.Del("X-Amz-Security-Token")
			r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "X-Amz-Security-Token=token&", "", 1)
		}, reason: UnknownKey, only: func(s signing) bool { return s.token != "" }},
		{name: "expires stretched", change: func(r *http.Request, _ *[]byte) {
			r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "X-Amz-Expires=3600", "X-Amz-Expires=7200", 1)
		}, reason: Mismatch, only: func(s signing) bool { return strings.Contains(s.url, "X-Amz-Expires=3600") }},
		{name: "payload left out afterwards", change: func(r *http.Request, _ *[]byte) { r.Header.Set("X-Amz-Content-Sha256", UnsignedPayload) }, reason: Mismatch,
			only: func(s signing) bool { return s.hash == "" }},
	}
	for name, in := range signings {
		for _, m := range mutations {
			if m.only != nil && !m.only(in) {
				continue
			}
			t.Run(name+"/"+m.name, func(t *testing.T) {
				r, body := sign(t, in), []byte(in.body)
				m.change(r, &body)
				_, _, err := v.Verify(r, body, in.service)
				var e *Error
				if !errors.As(err, &e) || e.Reason != m.reason {
					t.Fatalf("got %v, want reason %d", err, m.reason)
				}
			})
		}
	}
}

func TestTimeAndScope(t *testing.T) {
	v := testVerifier()
	base := signings["query form"]
	at := func(d time.Duration) signing { s := base; s.at = testTime.Add(d); return s }
	presigned := func(seconds int, d time.Duration) signing {
		return signing{method: "GET", url: fmt.Sprintf("http://localhost/?X-Amz-Expires=%d", seconds), service: "sts", presign: true, at: testTime.Add(d)}
	}
	for _, tc := range []struct {
		name    string
		in      signing
		service string
		want    string // of the message; "" means accepted
	}{
		{"in time", at(-14 * time.Minute), "sts", ""},
		{"ahead a little", at(14 * time.Minute), "sts", ""},
		{"too old", at(-16 * time.Minute), "sts", "Signature expired: 20260304T045007Z is now earlier than 20260304T045107Z (20260304T050607Z - 15 min.)"},
		{"too early", at(16 * time.Minute), "sts", "Signature not yet current: 20260304T052207Z is still later than 20260304T052107Z (20260304T050607Z + 15 min.)"},
		{"presigned in time", presigned(60, -59*time.Second), "sts", ""},
		{"presigned too old", presigned(60, -61*time.Second), "sts", "Signature expired: 20260304T050506Z is now earlier than 20260304T050507Z (20260304T050607Z - 60 sec.)"},
		{"presigned too early", presigned(60, 16*time.Minute), "sts", "Signature not yet current:"},
		{"presigned a week", presigned(604800, -7*24*time.Hour+time.Minute), "sts", ""},
		{"presigned more than a week", presigned(604801, 0), "sts", "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds"},
		{"presigned for no time", presigned(0, 0), "sts", "X-Amz-Expires must be non-negative"},
		{"other service", base, "iam", "Credential should be scoped to correct service: 'iam'. "},
		{"any service", base, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := v.Verify(sign(t, tc.in), []byte(tc.in.body), tc.service)
			if tc.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var e *Error
			if !errors.As(err, &e) || !strings.HasPrefix(e.Message, tc.want) {
				t.Fatalf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestMalformed(t *testing.T) {
	const date = "X-Amz-Date: 20260304T050607Z"
	for _, tc := range []struct {
		name    string
		target  string
		headers []string
		reason  Reason
		message string
	}{
		{"nothing", "/", nil, Missing, "Missing Authentication Token"},
		{"bearer", "/", []string{"Authorization: Bearer x", date}, Incomplete, "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. (Hashed with SHA-256 and encoded with Base64) Authorization="},
		{"no parameters", "/", []string{"Authorization: AWS4-HMAC-SHA256"}, Incomplete, "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "},
		{"not key=value", "/", []string{"Authorization: AWS4-HMAC-SHA256 junk", date}, Incomplete, "'junk' not a valid key=value pair (missing equal-sign) in Authorization header"},
		{"twice in the header", "/", []string{"Authorization: AWS4-HMAC-SHA256 Signature=a, Signature=b", date}, Incomplete, "Authorization header has 'Signature' more than once"},
		{"two headers", "/", []string{"Authorization: AWS4-HMAC-SHA256 a=b", "Authorization: AWS4-HMAC-SHA256 a=b"}, Incomplete, "The request has more than one Authorization header."},
		{"short credential", "/", []string{"Authorization: AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=c", date}, Incomplete, "Credential must have exactly 5 slash-delimited elements"},
		{"bad date", "/", []string{"Authorization: AWS4-HMAC-SHA256 Credential=a/20260304/r/s/aws4_request, SignedHeaders=host, Signature=c", "X-Amz-Date: today"}, Incomplete, "Date must be in ISO-8601 'basic format'. Got 'today'."},
		{"host not signed", "/", []string{"Authorization: AWS4-HMAC-SHA256 Credential=a/20260304/r/s/aws4_request, SignedHeaders=x-amz-date, Signature=c", date}, Mismatch, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."},
		{"sigv4a", "/", []string{"Authorization: AWS4-ECDSA-P256-SHA256 Credential=a", date}, UnsupportedScheme, "Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256'."},
		{"query without a date", "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a&X-Amz-Signature=b", nil, QueryParameters, "AWS query-string parameters must include 'X-Amz-Date'."},
		{"query twice", "/?X-Amz-Signature=a&X-Amz-Signature=b", nil, QueryParameters, "AWS query-string parameter 'X-Amz-Signature' is given more than once."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := testVerifier().Verify(readRequest(t, "GET", tc.target, tc.headers), nil, "")
			var e *Error
			if !errors.As(err, &e) || e.Reason != tc.reason || !strings.HasPrefix(e.Message, tc.message) {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(e.Message, "Bearer") {
				t.Error("the message shows the Authorization header")
			}
		})
	}
}

func TestWireCodes(t *testing.T) {
	for _, tc := range []struct {
		reason Reason
		family Family
		code   string
		status int
	}{
		{Missing, RestJSON, "MissingAuthenticationTokenException", 403},
		{Missing, Query, "MissingAuthenticationToken", 403},
		{Missing, JSON, "MissingAuthenticationTokenException", 400},
		{Missing, S3, "AccessDenied", 403},
		{Mismatch, RestJSON, "InvalidSignatureException", 403},
		{Mismatch, JSON, "InvalidSignatureException", 400},
		{Mismatch, Query, "SignatureDoesNotMatch", 403},
		{Mismatch, S3, "SignatureDoesNotMatch", 403},
		{OutOfTime, RestJSON, "InvalidSignatureException", 403},
		{OutOfTime, Query, "SignatureDoesNotMatch", 403},
		{OutOfTime, S3, "RequestTimeTooSkewed", 403},
		{UnknownKey, RestJSON, "UnrecognizedClientException", 403},
		{UnknownKey, Query, "InvalidClientTokenId", 403},
		{UnknownKey, S3, "InvalidAccessKeyId", 403},
		{ExpiredToken, RestJSON, "ExpiredTokenException", 403},
		{ExpiredToken, Query, "ExpiredToken", 403},
		{ExpiredToken, S3, "ExpiredToken", 400},
		{Incomplete, RestJSON, "IncompleteSignatureException", 403},
		{Incomplete, Query, "IncompleteSignature", 400},
		{PayloadMismatch, S3, "XAmzContentSHA256Mismatch", 400},
	} {
		code, status, message := fail(tc.reason, "m").Wire(tc.family)
		if code != tc.code || status != tc.status || message == "" {
			t.Errorf("%d in family %d: %s %d %q, want %s %d", tc.reason, tc.family, code, status, message, tc.code, tc.status)
		}
	}
	for r := Missing; r <= UnsupportedScheme; r++ {
		if c := codes[r]; c.json == "" || c.query == "" || c.s3 == "" {
			t.Errorf("reason %d has no codes", r)
		}
	}
}

func TestExpiredToken(t *testing.T) {
	in := signings["session token"]
	in.token = "expired"
	_, _, err := testVerifier().Verify(sign(t, in), nil, "lambda")
	var e *Error
	if !errors.As(err, &e) || e.Reason != ExpiredToken || e.Message != "The security token included in the request is expired" {
		t.Fatalf("got %v", err)
	}
}

type brokenKeys struct{}

func (brokenKeys) Key(string, string) (identity.Key, error) {
	return identity.Key{}, io.ErrUnexpectedEOF
}

func TestKeyLookupFailure(t *testing.T) {
	v := NewVerifier(brokenKeys{}, func() time.Time { return testTime })
	_, _, err := v.Verify(sign(t, signings["query form"]), []byte(signings["query form"].body), "sts")
	var e *Error
	if errors.As(err, &e) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("got %v, want the cause", err)
	}
}

func TestKeyCacheIsBounded(t *testing.T) {
	c := keyCache{size: 8}
	for i := range 1000 {
		c.add("s", fmt.Sprint(i), "r", "s", []byte{1})
		c.add("s", "kept", "r", "s", []byte{2})
		if got := c.get("s", "kept", "r", "s"); len(got) != 1 || got[0] != 2 {
			t.Fatalf("after %d additions a key in use was dropped", i)
		}
	}
	if n := c.len(); n > 16 {
		t.Errorf("%d keys are kept, want at most 16", n)
	}
}

// TestServer checks a request that went through a real connection and net/http's parsing.
func TestServer(t *testing.T) {
	v := testVerifier()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if _, _, err := v.Verify(r, body, "lambda"); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
		}
	}))
	defer srv.Close()
	for _, path := range []string{"/", "/a//b/../c", "/f/%24LATEST/x%2Fy?b=2&a=1%2B1&c=+", "/ünï?q=%zz"} {
		r, err := http.NewRequest("POST", srv.URL+"/", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		r.URL, err = r.URL.Parse(strings.ReplaceAll(srv.URL+path, "%zz", "%25zz"))
		if err != nil {
			t.Fatal(err)
		}
		creds := aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret}
		if err := v4.NewSigner().SignHTTP(context.Background(), creds, r, sha("{}"), "lambda", "us-east-1", testTime); err != nil {
			t.Fatal(err)
		}
		res, err := srv.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		msg, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != 200 {
			t.Errorf("%s: %d %s", path, res.StatusCode, msg)
		}
	}
}
