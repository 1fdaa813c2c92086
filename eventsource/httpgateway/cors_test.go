package httpgateway

import (
	"net/http"
	"strings"
	"testing"

	"mayfly"
)

func corsOf(h http.Header) string {
	var out []string
	for _, name := range append([]string{"Vary"}, corsHeaders...) {
		for _, v := range h.Values(name) {
			out = append(out, strings.TrimPrefix(name, "Access-Control-")+"="+v)
		}
	}
	return strings.Join(out, " ")
}

func TestCORS(t *testing.T) {
	age := 300
	full := &mayfly.CORS{AllowOrigins: []string{"https://a.example", "http://localhost:3000"}, AllowMethods: []string{"GET", "POST"}, AllowHeaders: []string{"content-type", "x-a"},
		ExposeHeaders: []string{"x-b", "date"}, MaxAge: &age, AllowCredentials: true}
	open := &mayfly.CORS{AllowOrigins: []string{"*"}, AllowMethods: []string{"*"}, AllowHeaders: []string{"*"}}
	openCredentials := &mayfly.CORS{AllowOrigins: []string{"*"}, AllowMethods: []string{"*"}, AllowHeaders: []string{"*"}, AllowCredentials: true}
	secure := &mayfly.CORS{AllowOrigins: []string{"https://*"}}
	preflight := []string{"Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "x-z"}
	own := `{"statusCode":200,"headers":{"Access-Control-Allow-Origin":"https://own.example","Access-Control-Expose-Headers":"own","Vary":"Accept"},"body":"ok"}`
	for _, tc := range []struct {
		name, method, origin string
		policy               *mayfly.CORS
		headers              []string
		want                 string
		invoked              bool
	}{
		{"no policy: the function's own", "GET", "https://a.example", nil, nil, "Vary=Accept Allow-Origin=https://own.example Expose-Headers=own", true},
		{"no policy: preflight goes to the function", "OPTIONS", "https://a.example", nil, preflight, "Vary=Accept Allow-Origin=https://own.example Expose-Headers=own", true},
		{"policy overrides the function", "GET", "https://a.example", full, nil, "Vary=Accept Vary=Origin Allow-Origin=https://a.example Allow-Credentials=true Expose-Headers=x-b,date", true},
		{"another origin gets nothing", "GET", "https://b.example", full, nil, "Vary=Accept Vary=Origin", true},
		{"no origin", "GET", "", full, nil, "Vary=Accept Vary=Origin", true},
		{"preflight", "OPTIONS", "http://localhost:3000", full, preflight, "Vary=Origin Allow-Origin=http://localhost:3000 Allow-Credentials=true Allow-Headers=content-type,x-a Allow-Methods=GET,POST Max-Age=300", false},
		{"preflight of another origin", "OPTIONS", "https://b.example", full, preflight, "Vary=Origin", false},
		{"options that is no preflight", "OPTIONS", "https://a.example", full, nil, "Vary=Accept Vary=Origin Allow-Origin=https://a.example Allow-Credentials=true Expose-Headers=x-b,date", true},
		{"open", "GET", "https://b.example", open, nil, "Vary=Accept Vary=Origin Allow-Origin=*", true},
		{"open preflight", "OPTIONS", "https://b.example", open, preflight, "Vary=Origin Allow-Origin=* Allow-Headers=* Allow-Methods=*", false},
		{"open with credentials", "OPTIONS", "https://b.example", openCredentials, preflight, "Vary=Origin Allow-Origin=https://b.example Allow-Credentials=true Allow-Headers=x-z Allow-Methods=PUT", false},
		{"any https", "GET", "https://b.example", secure, nil, "Vary=Accept Vary=Origin Allow-Origin=https://b.example", true},
		{"any https, but http", "GET", "http://b.example", secure, nil, "Vary=Accept Vary=Origin", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake()
			f.config.CORS, f.payload = tc.policy, own
			r := testRequest(tc.method, "/", "", tc.headers...)
			if tc.origin != "" {
				r.Header.Set("Origin", tc.origin)
			}
			res := serve(newGateway(f, nil), r)
			if got := corsOf(res.Header); res.StatusCode != 200 || got != tc.want || (f.got != nil) != tc.invoked {
				t.Errorf("%d, invoked %v\ngot  %s\nwant %s", res.StatusCode, f.got != nil, got, tc.want)
			}
		})
	}
}

func TestCORSOnErrorsAndIAM(t *testing.T) {
	f := newFake()
	f.config.AuthType = "AWS_IAM"
	f.config.CORS = &mayfly.CORS{AllowOrigins: []string{"*"}}
	r := testRequest("OPTIONS", "/", "", "Origin", "https://a.example", "Access-Control-Request-Method", "GET")
	if res := serve(newGateway(f, nil), r); res.StatusCode != 200 || f.got != nil {
		t.Errorf("a preflight cannot be signed, but got %d", res.StatusCode)
	}
	res := serve(newGateway(f, nil), testRequest("GET", "/", "", "Origin", "https://a.example"))
	if res.StatusCode != 403 || res.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("a page cannot read the error: %d %v", res.StatusCode, res.Header)
	}
}
