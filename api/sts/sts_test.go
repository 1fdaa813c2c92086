package sts_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	sdk "github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"mayfly/api/awswire"
	"mayfly/api/awswire/sigv4"
	"mayfly/api/awswire/wiretest"
	"mayfly/api/sts"
	"mayfly/identity"
	"mayfly/store/sqlite"
)

const (
	account = "123456789012"
	trust   = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}`
)

var deploy = identity.AccessKey{ID: "AKIAMAYFLYEXAMPLE001", Secret: "the-secret-of-deploy", Account: account, User: "deploy"}

type server struct {
	url      string
	identity *identity.Service
	ahead    time.Duration // of the real clock, which SDKs sign with
	sts      *sts.Service
}

// newServer starts STS with the access keys configured; without any, nothing is verified.
func newServer(t *testing.T, keys ...identity.AccessKey) *server {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &server{}
	now := func() time.Time { return time.Now().Add(s.ahead) }
	s.identity, err = identity.Open(t.Context(), identity.Options{DB: db, AccessKeys: keys, MasterKey: bytes.Repeat([]byte{1}, 32), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	s.sts = sts.New(sts.Options{Identity: s.identity})
	srv := httptest.NewServer(awswire.NewRouter(awswire.RouterOptions{Services: []awswire.ServiceHandler{s.sts},
		Auth: sigv4.NewAuthenticator(sigv4.Options{Source: s.identity})}))
	t.Cleanup(srv.Close)
	s.url = srv.URL
	return s
}

func (s *server) client(id, secret, token string) *sdk.Client {
	return sdk.New(sdk.Options{BaseEndpoint: &s.url, Region: "eu-west-1", RetryMaxAttempts: 1, Credentials: credentials.NewStaticCredentialsProvider(id, secret, token)})
}

func (s *server) role(t *testing.T, name string, max time.Duration) *identity.Role {
	t.Helper()
	r, err := s.identity.CreateRole(t.Context(), identity.Role{Account: account, Name: name, Path: "/p/", Trust: trust, MaxSession: max})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantError(t *testing.T, err error, status int, code, text string) {
	t.Helper()
	var api smithy.APIError
	var res *smithyhttp.ResponseError
	if !errors.As(err, &api) || !errors.As(err, &res) || api.ErrorCode() != code || res.HTTPStatusCode() != status || !strings.Contains(api.ErrorMessage(), text) {
		t.Fatalf("got %v, want %d %s %q", err, status, code, text)
	}
}

func wantCaller(t *testing.T, c *sdk.Client, account, arn, id string) {
	t.Helper()
	out, err := c.GetCallerIdentity(t.Context(), &sdk.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	if *out.Account != account || *out.Arn != arn || !strings.HasPrefix(*out.UserId, id) {
		t.Errorf("caller %s %s %s, want %s %s %s", *out.Account, *out.Arn, *out.UserId, account, arn, id)
	}
}

func TestUnverifiedCaller(t *testing.T) {
	s := newServer(t)
	wantCaller(t, s.client("test", "test", ""), "000000000000", "arn:aws:iam::000000000000:root", "000000000000")
	wantCaller(t, s.client("111122223333", "x", ""), "111122223333", "arn:aws:iam::111122223333:root", "111122223333")
}

func TestVerifiedCaller(t *testing.T) {
	s := newServer(t, deploy)
	wantCaller(t, s.client(deploy.ID, deploy.Secret, ""), account, "arn:aws:iam::"+account+":user/deploy", "AIDA")
	_, err := s.client(deploy.ID, "not-the-secret", "").GetCallerIdentity(t.Context(), &sdk.GetCallerIdentityInput{})
	wantError(t, err, 403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.")
	_, err = s.client("AKIAUNKNOWNKEY00", "x", "").GetCallerIdentity(t.Context(), &sdk.GetCallerIdentityInput{})
	wantError(t, err, 403, "InvalidClientTokenId", "The security token included in the request is invalid.")
	_, err = s.client(deploy.ID, deploy.Secret, "token").GetCallerIdentity(t.Context(), &sdk.GetCallerIdentityInput{})
	wantError(t, err, 403, "InvalidClientTokenId", "The security token included in the request is invalid.")

	res, err := http.PostForm(s.url, map[string][]string{"Action": {"GetCallerIdentity"}, "Version": {"2011-06-15"}})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var e struct {
		Code string `xml:"Error>Code"`
	}
	if err := xml.NewDecoder(res.Body).Decode(&e); err != nil || res.StatusCode != 403 || e.Code != "MissingAuthenticationToken" {
		t.Errorf("unsigned: %d %+v, %v", res.StatusCode, e, err)
	}
}

// TestPresigned checks the form that other systems use to prove who somebody is.
func TestPresigned(t *testing.T) {
	s := newServer(t, deploy)
	signed, err := sdk.NewPresignClient(s.client(deploy.ID, deploy.Secret, "")).PresignGetCallerIdentity(t.Context(), &sdk.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	get := func(url string) (int, string) {
		t.Helper()
		r, err := http.NewRequest(signed.Method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var out struct {
			Arn  string `xml:"GetCallerIdentityResult>Arn"`
			Code string `xml:"Error>Code"`
		}
		if err := xml.NewDecoder(res.Body).Decode(&out); err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, out.Arn + out.Code
	}
	if status, got := get(signed.URL); status != 200 || got != "arn:aws:iam::"+account+":user/deploy" {
		t.Errorf("%d %s", status, got)
	}
	if status, got := get(strings.Replace(signed.URL, "GetCallerIdentity", "GetSessionToken", 1)); status != 403 || got != "SignatureDoesNotMatch" {
		t.Errorf("%d %s", status, got)
	}
}

func TestAssumeRole(t *testing.T) {
	ctx := t.Context()
	s := newServer(t, deploy)
	role := s.role(t, "worker", 2*time.Hour)
	c := s.client(deploy.ID, deploy.Secret, "")
	out, err := c.AssumeRole(ctx, &sdk.AssumeRoleInput{RoleArn: aws.String(role.ARN()), RoleSessionName: aws.String("job-1"), DurationSeconds: aws.Int32(900), SourceIdentity: aws.String("me")})
	if err != nil {
		t.Fatal(err)
	}
	arn := "arn:aws:sts::" + account + ":assumed-role/worker/job-1"
	if *out.AssumedRoleUser.Arn != arn || *out.AssumedRoleUser.AssumedRoleId != role.ID+":job-1" || *out.SourceIdentity != "me" {
		t.Errorf("got %+v", out.AssumedRoleUser)
	}
	creds := out.Credentials
	if left := time.Until(*creds.Expiration); left > 15*time.Minute || left < 14*time.Minute || !strings.HasPrefix(*creds.AccessKeyId, "ASIA") {
		t.Errorf("got %+v", creds)
	}
	session := s.client(*creds.AccessKeyId, *creds.SecretAccessKey, *creds.SessionToken)
	wantCaller(t, session, account, arn, role.ID+":job-1")
	wantCaller(t, sdk.New(sdk.Options{BaseEndpoint: &s.url, Region: "eu-west-1", RetryMaxAttempts: 1, Credentials: stscreds.NewAssumeRoleProvider(c, role.ARN(), func(o *stscreds.AssumeRoleOptions) { o.RoleSessionName = "sdk" })}),
		account, "arn:aws:sts::"+account+":assumed-role/worker/sdk", role.ID+":sdk")

	_, err = s.client(*creds.AccessKeyId, "wrong", *creds.SessionToken).GetCallerIdentity(ctx, &sdk.GetCallerIdentityInput{})
	wantError(t, err, 403, "SignatureDoesNotMatch", "")
	_, err = s.client(*creds.AccessKeyId, *creds.SecretAccessKey, "").GetCallerIdentity(ctx, &sdk.GetCallerIdentityInput{})
	wantError(t, err, 403, "InvalidClientTokenId", "")

	for _, tc := range []struct {
		name   string
		client *sdk.Client
		in     sdk.AssumeRoleInput
		status int
		code   string
		text   string
	}{
		{"unknown role", c, sdk.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::" + account + ":role/none"), RoleSessionName: aws.String("s1")}, 403, "AccessDenied",
			"User: arn:aws:iam::" + account + ":user/deploy is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::" + account + ":role/none"},
		{"wrong path", c, sdk.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::" + account + ":role/worker"), RoleSessionName: aws.String("s1")}, 403, "AccessDenied", "not authorized"},
		{"not a role", c, sdk.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::" + account + ":user/deploy"), RoleSessionName: aws.String("s1")}, 400, "ValidationError", ":user/deploy is invalid"},
		{"bad session name", c, sdk.AssumeRoleInput{RoleArn: aws.String(role.ARN()), RoleSessionName: aws.String("a b")}, 400, "ValidationError", "at 'roleSessionName' failed to satisfy constraint"},
		{"too long", c, sdk.AssumeRoleInput{RoleArn: aws.String(role.ARN()), RoleSessionName: aws.String("s1"), DurationSeconds: aws.Int32(7201)}, 400, "ValidationError", "exceeds the MaxSessionDuration set for this role."},
		{"chained too long", session, sdk.AssumeRoleInput{RoleArn: aws.String(role.ARN()), RoleSessionName: aws.String("s1"), DurationSeconds: aws.Int32(3601)}, 400, "ValidationError", "1 hour session limit for roles assumed by role chaining."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := tc.client.AssumeRole(ctx, &tc.in)
			wantError(t, err, tc.status, tc.code, tc.text)
		})
	}
	if _, err := session.AssumeRole(ctx, &sdk.AssumeRoleInput{RoleArn: aws.String(role.ARN()), RoleSessionName: aws.String("chained")}); err != nil {
		t.Errorf("chaining: %v", err)
	}

	s.ahead = 16 * time.Minute
	_, err = session.GetCallerIdentity(ctx, &sdk.GetCallerIdentityInput{})
	wantError(t, err, 403, "ExpiredToken", "The security token included in the request is expired")
}

func TestNotImplemented(t *testing.T) {
	_, err := newServer(t).client("test", "test", "").GetSessionToken(t.Context(), &sdk.GetSessionTokenInput{})
	wantError(t, err, 501, "NotImplemented", "Mayfly does not implement sts:GetSessionToken yet")
}

func TestCompatibilityPage(t *testing.T) {
	wiretest.Compatibility(t, "../../docs/compatibility.md", newServer(t).sts.Endpoint)
}
