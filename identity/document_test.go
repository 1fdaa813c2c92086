package identity

import (
	"errors"
	"strings"
	"testing"

	"mayfly"
)

func TestPolicyDocuments(t *testing.T) {
	wrap := func(statement string) string { return `{"Version":"2012-10-17","Statement":[` + statement + `]}` }
	for _, tc := range []struct{ name, document, want string }{
		{"allow", wrap(`{"Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::b/*"}`), ""},
		{"single statement, lists, condition", `{"Version":"2012-10-17","Id":"x","Statement":{"Sid":"A1","Effect":"Deny","NotAction":["iam:*","sts:*"],"NotResource":["*"],"Condition":{"Bool":{"aws:SecureTransport":"true"}}}}`, ""},
		{"no statements", `{"Version":"2012-10-17","Statement":[]}`, ""},
		{"not JSON", `{`, msgSyntax},
		{"not an object", `[]`, msgSyntax},
		{"null", `null`, msgSyntax},
		{"no statement", `{"Version":"2012-10-17"}`, msgSyntax},
		{"unknown element", `{"Version":"2012-10-17","Statement":[],"X":1}`, msgSyntax},
		{"old version", `{"Version":"2008-10-17","Statement":[]}`, msgVersion},
		{"no version", `{"Statement":[]}`, msgVersion},
		{"odd version", `{"Version":"2020-01-01","Statement":[]}`, msgSyntax},
		{"no effect", wrap(`{"Action":"s3:*","Resource":"*"}`), msgSyntax},
		{"wrong effect", wrap(`{"Effect":"allow","Action":"s3:*","Resource":"*"}`), msgSyntax},
		{"no action", wrap(`{"Effect":"Allow","Resource":"*"}`), msgActions},
		{"empty actions", wrap(`{"Effect":"Allow","Action":[],"Resource":"*"}`), msgActions},
		{"both actions", wrap(`{"Effect":"Allow","Action":"*","NotAction":"*","Resource":"*"}`), msgSyntax},
		{"action without vendor", wrap(`{"Effect":"Allow","Action":"GetObject","Resource":"*"}`), msgVendor},
		{"no resource", wrap(`{"Effect":"Allow","Action":"s3:*"}`), msgResources},
		{"resource not an ARN", wrap(`{"Effect":"Allow","Action":"s3:*","Resource":"bucket"}`), `Resource bucket must be in ARN format or "*".`},
		{"short ARN", wrap(`{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3"}`), "The policy failed legacy parsing"},
		{"number as resource", wrap(`{"Effect":"Allow","Action":"s3:*","Resource":1}`), msgSyntax},
		{"principal", wrap(`{"Effect":"Allow","Action":"s3:*","Resource":"*","Principal":"*"}`), msgPrincipal},
		{"unknown statement element", wrap(`{"Effect":"Allow","Action":"s3:*","Resource":"*","X":1}`), msgSyntax},
		{"condition not an object", wrap(`{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":"x"}`), msgSyntax},
		{"same sid twice", wrap(`{"Sid":"a","Effect":"Allow","Action":"s3:*","Resource":"*"},{"Sid":"a","Effect":"Allow","Action":"s3:*","Resource":"*"}`), msgSids},
		{"sid with a space", wrap(`{"Sid":"a b","Effect":"Allow","Action":"s3:*","Resource":"*"}`), msgSyntax},
	} {
		t.Run(tc.name, func(t *testing.T) { wantMalformed(t, checkPolicy(tc.document), tc.want) })
	}
}

func TestTrustPolicies(t *testing.T) {
	wrap := func(statement string) string { return `{"Version":"2012-10-17","Statement":[` + statement + `]}` }
	for _, tc := range []struct{ name, document, want string }{
		{"lambda", wrap(`{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}`), ""},
		{"old version, everyone", `{"Version":"2008-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"sts:assumerole"}}`, ""},
		{"no version, many", `{"Statement":[{"Effect":"Allow","Principal":{"AWS":["123456789012","arn:aws:iam::123456789012:root"],"Service":["a.amazonaws.com","b.amazonaws.com"]},"Action":["sts:AssumeRole","sts:TagSession"]}]}`, ""},
		{"not JSON", `x`, msgTrustJSON},
		{"empty object", `{}`, msgSyntax},
		{"resource", wrap(`{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*"}`), msgHasResource},
		{"no principal", wrap(`{"Effect":"Allow","Action":"sts:AssumeRole"}`), msgNoPrincipal},
		{"empty principal", wrap(`{"Effect":"Allow","Principal":{},"Action":"sts:AssumeRole"}`), msgSyntax},
		{"unknown kind of principal", wrap(`{"Effect":"Allow","Principal":{"X":"y"},"Action":"sts:AssumeRole"}`), `Invalid principal in policy: "X"`},
		{"service without a domain", wrap(`{"Effect":"Allow","Principal":{"Service":"lambda"},"Action":"sts:AssumeRole"}`), `Invalid principal in policy: "SERVICE":"lambda"`},
		{"other action", wrap(`{"Effect":"Allow","Principal":"*","Action":"s3:GetObject"}`), msgTrustActions},
		{"no effect", wrap(`{"Principal":"*","Action":"sts:AssumeRole"}`), "Missing required field Effect"},
	} {
		t.Run(tc.name, func(t *testing.T) { wantMalformed(t, checkTrust(tc.document), tc.want) })
	}
	var e *mayfly.Error
	if err := checkTrust(`{"Version":"2012-10-17","Statement":[],"Id":"` + strings.Repeat("x", 2048) + `"}`); !errors.As(err, &e) || e.Code != "LimitExceeded" {
		t.Errorf("too long: %v", err)
	}
}

func wantMalformed(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	var e *mayfly.Error
	if !errors.As(err, &e) || e.Code != "MalformedPolicyDocument" || e.Message != want {
		t.Fatalf("got %v, want %q", err, want)
	}
}

// FuzzDocument checks that no document makes the checks fail in another way than with a message.
func FuzzDocument(f *testing.F) {
	f.Add(`{"Version":"2012-10-17","Statement":[{"Sid":"","Effect":"Allow","Principal":{"AWS":["*"]},"Action":["sts:AssumeRole"],"Condition":{"A":{"b":"c"}}}]}`)
	f.Add(`{"Version":"2012-10-17","Statement":{"Effect":"Deny","NotAction":"a:b","Resource":null}}`)
	f.Fuzz(func(t *testing.T, document string) {
		for _, err := range []error{checkPolicy(document), checkManaged(document), checkTrust(document)} {
			var e *mayfly.Error
			if err != nil && (!errors.As(err, &e) || e.Message == "" || e.Code == "") {
				t.Fatalf("%q: %v", document, err)
			}
		}
	})
}
