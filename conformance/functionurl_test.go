package conformance

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// read is the body of an answer.
func read(t *testing.T, res *http.Response) string {
	t.Helper()
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// url gives a function a URL; the answer ends in a slash.
func (s *server) url(t *testing.T, name string, auth types.FunctionUrlAuthType, cors *types.Cors) string {
	t.Helper()
	out, err := s.lambda().CreateFunctionUrlConfig(t.Context(), &lambda.CreateFunctionUrlConfigInput{FunctionName: &name, AuthType: auth, Cors: cors})
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(out.FunctionUrl)
}

const echo = `exports.handler = async e => e.rawPath === '/plain' ? 'just text' : e.rawPath === '/throw' ? (() => { throw new Error('no') })() :
  ({statusCode: 418, headers: {'X-Own': 'yes', 'Content-Type': 'application/json'}, cookies: ['a=1; Path=/', 'b=2'], body: JSON.stringify(e)})`

// call sends a request to a function URL, signed if there are credentials.
func call(t *testing.T, method, url, body string, header http.Header, sign *aws.Credentials) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	if sign != nil {
		sum := sha256.Sum256([]byte(body))
		if err := v4.NewSigner().SignHTTP(t.Context(), *sign, req, hex.EncodeToString(sum[:]), "lambda", region, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return res, read(t, res)
}

func TestFunctionURL(t *testing.T) {
	t.Parallel()
	s := shared(t)
	name := s.deploy(t, node(echo))
	url := s.url(t, name, types.FunctionUrlAuthTypeNone, nil)
	res, body := call(t, "POST", url+"a/b%20c?x=1&x=2&y=%20", "héllo", http.Header{"Content-Type": {"text/plain"}, "Cookie": {"c=3; d=4"}, "X-Many": {"1", "2"}}, nil)
	if res.StatusCode != 418 || res.Header.Get("X-Own") != "yes" || len(res.Header.Values("Set-Cookie")) != 2 {
		t.Errorf("%s %v %s", res.Status, res.Header, body)
	}
	var e struct {
		Version, RawPath, RawQueryString, Body, RouteKey string
		IsBase64Encoded                                  bool
		Cookies                                          []string
		Headers, QueryStringParameters                   map[string]string
		RequestContext                                   struct {
			AccountID, DomainName, RequestID, Stage string
			HTTP                                    struct{ Method, Path, SourceIP, Protocol string }
		}
	}
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Fatal(err)
	}
	if e.Version != "2.0" || e.RawPath != "/a/b%20c" || e.RawQueryString != "x=1&x=2&y=%20" || e.Body != "héllo" || e.IsBase64Encoded || e.RouteKey != "$default" ||
		len(e.Cookies) != 2 || e.Headers["x-many"] != "1,2" || e.QueryStringParameters["x"] != "1,2" || e.QueryStringParameters["y"] != " " ||
		e.RequestContext.AccountID != "anonymous" || e.RequestContext.HTTP.Method != "POST" || e.RequestContext.HTTP.SourceIP != "127.0.0.1" || e.RequestContext.Stage != "$default" {
		t.Errorf("the event is %s", body)
	}
	if _, body := call(t, "POST", url, "\xff\x00", http.Header{"Content-Type": {"image/png"}}, nil); !strings.Contains(body, `"body":"/wA="`) || !strings.Contains(body, `"isBase64Encoded":true`) {
		t.Errorf("a binary event is %s", body)
	}
	if res, body := call(t, "GET", url+"plain", "", nil, nil); res.StatusCode != 200 || body != "just text" || res.Header.Get("Content-Type") != "application/json" {
		t.Errorf("a string: %s %v %s", res.Status, res.Header, body)
	}
	if res, body := call(t, "GET", url+"throw", "", nil, nil); res.StatusCode != 502 || body != "Internal Server Error" {
		t.Errorf("an error: %s %s", res.Status, body)
	}
	if res, _ := call(t, "POST", url, strings.Repeat("x", 6<<20+1), nil, nil); res.StatusCode != 413 {
		t.Errorf("more than 6 MB: %s", res.Status)
	}
	// The command line's curl gets the same.
	if out, err := output("", "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", url); err != nil || out != "418" {
		t.Errorf("curl: %s %v", out, err)
	}
	if _, err := s.lambda().DeleteFunctionUrlConfig(t.Context(), &lambda.DeleteFunctionUrlConfigInput{FunctionName: &name}); err != nil {
		t.Fatal(err)
	}
	if res, body := call(t, "GET", url, "", nil, nil); res.StatusCode != 403 && res.StatusCode != 404 {
		t.Errorf("a deleted URL: %s %s", res.Status, body)
	}
}

func TestFunctionURLWithIAM(t *testing.T) {
	t.Parallel()
	s := serve(t, "--access-key", "AKIDMAYFLYTEST:a secret for tests")
	good := &aws.Credentials{AccessKeyID: "AKIDMAYFLYTEST", SecretAccessKey: "a secret for tests"}
	client := lambda.NewFromConfig(s.as(good.AccessKeyID, good.SecretAccessKey, ""))
	name := "signed"
	s.deployWith(t, good, name, node(echo))
	out, err := client.CreateFunctionUrlConfig(t.Context(), &lambda.CreateFunctionUrlConfigInput{FunctionName: &name, AuthType: types.FunctionUrlAuthTypeAwsIam})
	if err != nil {
		t.Fatal(err)
	}
	url := aws.ToString(out.FunctionUrl)
	res, body := call(t, "POST", url+"x?b=2&a=1", "hello", http.Header{"Content-Type": {"text/plain"}}, good)
	if res.StatusCode != 418 || !strings.Contains(body, `"accessKey":"AKIDMAYFLYTEST"`) || !strings.Contains(body, `"body":"hello"`) {
		t.Errorf("signed: %s %s", res.Status, body)
	}
	for what, c := range map[string]*aws.Credentials{
		"unsigned":     nil,
		"wrong secret": {AccessKeyID: good.AccessKeyID, SecretAccessKey: "guessed"},
		"unknown key":  {AccessKeyID: "AKIDNOBODY", SecretAccessKey: "guessed"},
	} {
		if res, body := call(t, "GET", url, "", nil, c); res.StatusCode != 403 || strings.Contains(body, "rawPath") {
			t.Errorf("%s: %s %s", what, res.Status, body)
		}
	}
	// A body that was not signed.
	req, err := http.NewRequestWithContext(t.Context(), "POST", url, strings.NewReader("other"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("hello"))
	if err := v4.NewSigner().SignHTTP(t.Context(), *good, req, hex.EncodeToString(sum[:]), "lambda", region, time.Now()); err != nil {
		t.Fatal(err)
	}
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader([]byte("other"))), 5
	res, err = http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if body := read(t, res); res.StatusCode != 403 {
		t.Errorf("another body: %s %s", res.Status, body)
	}
}

func TestFunctionURLCORS(t *testing.T) {
	t.Parallel()
	s := shared(t)
	name := s.deploy(t, node(echo))
	url := s.url(t, name, types.FunctionUrlAuthTypeNone, &types.Cors{AllowOrigins: []string{"https://shop.example"}, AllowMethods: []string{"GET", "PUT"},
		AllowHeaders: []string{"x-one"}, ExposeHeaders: []string{"x-own"}, MaxAge: aws.Int32(60), AllowCredentials: aws.Bool(true)})
	res, _ := call(t, "OPTIONS", url, "", http.Header{"Origin": {"https://shop.example"}, "Access-Control-Request-Method": {"PUT"}}, nil)
	h := res.Header
	if res.StatusCode != 200 || h.Get("Access-Control-Allow-Origin") != "https://shop.example" || h.Get("Access-Control-Allow-Methods") != "GET,PUT" ||
		h.Get("Access-Control-Allow-Headers") != "x-one" || h.Get("Access-Control-Max-Age") != "60" || h.Get("Access-Control-Allow-Credentials") != "true" {
		t.Errorf("preflight: %s %v", res.Status, h)
	}
	if res, _ := call(t, "OPTIONS", url, "", http.Header{"Origin": {"https://other.example"}, "Access-Control-Request-Method": {"PUT"}}, nil); res.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("preflight of another origin: %v", res.Header)
	}
	if res, _ := call(t, "GET", url, "", http.Header{"Origin": {"https://shop.example"}}, nil); res.StatusCode != 418 || res.Header.Get("Access-Control-Allow-Origin") != "https://shop.example" ||
		res.Header.Get("Access-Control-Expose-Headers") != "x-own" {
		t.Errorf("request: %s %v", res.Status, res.Header)
	}
}
