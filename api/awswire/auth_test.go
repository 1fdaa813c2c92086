package awswire

import (
	"net/http/httptest"
	"testing"
)

func TestParseCredential(t *testing.T) {
	for _, tt := range []struct {
		header string
		want   Credential
		ok     bool
	}{
		{"AWS4-HMAC-SHA256 Credential=AKID/20260102/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0", Credential{"AKID", "20260102", "us-east-1", "lambda"}, true},
		{"AWS4-HMAC-SHA256 SignedHeaders=host,Credential=A/B/20260102/us-east-1/lambda/aws4_request,Signature=0", Credential{"A/B", "20260102", "us-east-1", "lambda"}, true},
		{"AWS4-ECDSA-P256-SHA256 Credential=AKID/20260102/sts/aws4_request, SignedHeaders=host, Signature=0", Credential{"AKID", "20260102", "", "sts"}, true},
		{"AWS4-HMAC-SHA256 Credential=AKID/20260102/us-east-1/lambda/aws3_request", Credential{}, false},
		{"AWS4-HMAC-SHA256 Credential=aws4_request", Credential{}, false},
		{"AWS4-HMAC-SHA256 Credential=/aws4_request", Credential{}, false},
		{"AWS4-HMAC-SHA256", Credential{}, false},
		{"Bearer x", Credential{}, false},
		{"", Credential{}, false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", tt.header)
		if got, ok := ParseCredential(r); ok != tt.ok || ok && got != tt.want {
			t.Errorf("%q: got %+v, %v", tt.header, got, ok)
		}
	}
}

func TestHosts(t *testing.T) {
	for _, tt := range []struct{ host, service, region string }{
		{"lambda.eu-west-1.localhost:4566", "lambda", "eu-west-1"},
		{"sts.amazonaws.com", "sts", ""},
		{"lambda.us-gov-west-1.amazonaws.com", "lambda", "us-gov-west-1"},
		{"localhost:4566", "", ""},
		{"127.0.0.1:4566", "127", ""},
		{"[::1]:4566", "", ""},
		{"[::1]", "", ""},
		{"", "", ""},
	} {
		if service, region := splitHost(tt.host); service != tt.service || region != tt.region {
			t.Errorf("%s: got %q %q", tt.host, service, region)
		}
	}
}
