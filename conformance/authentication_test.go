package conformance

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

const (
	key    = "AKIDMAYFLYTEST"
	secret = "a/secret+for tests"
)

// identity asks who the caller is, with a request that the test signs as it likes.
func identity(t *testing.T, s *server, sign func(req *http.Request)) (int, string) {
	t.Helper()
	body := "Action=GetCallerIdentity&Version=2011-06-15"
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.endpoint+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	sign(req)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, read(t, res)
}

// bodyHash is the SHA-256 of the body that identity sends.
const bodyHash = "ab821ae955788b0e33ebd34c208442ccfc2d406e2edc5e7a39bd6458fbb4f843"

func TestSignatures(t *testing.T) {
	t.Parallel()
	s := serve(t, "--access-key", key+":"+secret+":123456789012")
	ctx := t.Context()
	good := s.as(key, secret, "")
	who, err := sts.NewFromConfig(good).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil || aws.ToString(who.Account) != "123456789012" {
		t.Fatalf("a good signature: %v %s", err, jsonText(who))
	}
	if _, err := lambda.NewFromConfig(good).ListFunctions(ctx, &lambda.ListFunctionsInput{}); err != nil {
		t.Errorf("a good signature: %v", err)
	}
	if _, err := iam.NewFromConfig(good).ListRoles(ctx, &iam.ListRolesInput{}); err != nil {
		t.Errorf("a good signature: %v", err)
	}
	for _, tc := range []struct{ what, id, secret, token, lambdaCode, queryCode string }{
		{"wrong secret", key, "wrong", "", "InvalidSignatureException", "SignatureDoesNotMatch"},
		{"unknown key", "AKIDNOBODY", secret, "", "UnrecognizedClientException", "InvalidClientTokenId"},
		{"an account for a key", account, "any", "", "UnrecognizedClientException", "InvalidClientTokenId"},
		{"made-up session", "ASIAMADEUP", secret, "made up", "UnrecognizedClientException", "InvalidClientTokenId"},
	} {
		bad := s.as(tc.id, tc.secret, tc.token)
		_, err := lambda.NewFromConfig(bad).ListFunctions(ctx, &lambda.ListFunctionsInput{})
		wantError(t, err, tc.lambdaCode, "")
		wantStatus(t, err, 403)
		_, err = sts.NewFromConfig(bad).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		wantError(t, err, tc.queryCode, "")
	}
	sign := func(at time.Time) func(*http.Request) {
		return func(req *http.Request) {
			if err := v4.NewSigner().SignHTTP(ctx, aws.Credentials{AccessKeyID: key, SecretAccessKey: secret}, req, bodyHash, "sts", region, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	if status, body := identity(t, s, sign(time.Now())); status != 200 {
		t.Errorf("signed by hand: %d %s", status, body)
	}
	if status, body := identity(t, s, sign(time.Now().Add(-20*time.Minute))); status != 403 || !strings.Contains(body, "<Code>SignatureDoesNotMatch</Code>") || !strings.Contains(body, "Signature expired: ") {
		t.Errorf("an old signature: %d %s", status, body)
	}
	if status, body := identity(t, s, sign(time.Now().Add(20*time.Minute))); status != 403 || !strings.Contains(body, "Signature not yet current: ") {
		t.Errorf("a signature of the future: %d %s", status, body)
	}
	if status, body := identity(t, s, func(*http.Request) {}); status != 403 || !strings.Contains(body, "<Code>MissingAuthenticationToken</Code>") {
		t.Errorf("no signature: %d %s", status, body)
	}
	if status, body := identity(t, s, func(req *http.Request) {
		sign(time.Now())(req)
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader("Action=AssumeRole&Version=2011-06-15")), 36
	}); status != 403 || !strings.Contains(body, "SignatureDoesNotMatch") {
		t.Errorf("another body: %d %s", status, body)
	}
	res, err := http.Get(s.endpoint + "/2015-03-31/functions/")
	if err != nil {
		t.Fatal(err)
	}
	if body := read(t, res); res.StatusCode != 403 || !strings.Contains(res.Header.Get("X-Amzn-Errortype"), "MissingAuthenticationTokenException") {
		t.Errorf("no signature: %s %v %s", res.Status, res.Header, body)
	}
	// Mayfly's own pages need the key, too; only its health is for everybody.
	if _, err := s.get("health"); err != nil {
		t.Error(err)
	}
	for _, page := range []string{"metrics", "api/bill", "api/instances", "api/invocations", "api/runtimes"} {
		if _, err := s.get(page); err == nil || !strings.Contains(err.Error(), "401") {
			t.Errorf("%s without a key: %v", page, err)
		}
	}
}

func TestPresigned(t *testing.T) {
	t.Parallel()
	s := serve(t, "--access-key", key+":"+secret)
	ask := func(c aws.Config, change func(url.Values)) (int, string) {
		t.Helper()
		out, err := sts.NewPresignClient(sts.NewFromConfig(c)).PresignGetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(out.URL)
		if err != nil {
			t.Fatal(err)
		}
		if change != nil {
			q := u.Query()
			change(q)
			u.RawQuery = q.Encode()
		}
		req, err := http.NewRequestWithContext(t.Context(), out.Method, u.String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, read(t, res)
	}
	if status, body := ask(s.as(key, secret, ""), nil); status != 200 || !strings.Contains(body, "<Account>000000000000</Account>") {
		t.Errorf("good: %d %s", status, body)
	}
	if status, body := ask(s.as(key, "wrong", ""), nil); status != 403 || !strings.Contains(body, "SignatureDoesNotMatch") {
		t.Errorf("wrong secret: %d %s", status, body)
	}
	if status, body := ask(s.as(key, secret, ""), func(q url.Values) { q.Set("Action", "AssumeRole") }); status != 403 {
		t.Errorf("another action: %d %s", status, body)
	}
	if status, body := ask(s.as(key, secret, ""), func(q url.Values) { q.Set("X-Amz-Date", "20200101T000000Z") }); status != 403 {
		t.Errorf("another date: %d %s", status, body)
	}
}

func TestAssumeRole(t *testing.T) {
	t.Parallel()
	s := serve(t, "--access-key", key+":"+secret)
	ctx, good := t.Context(), s.as(key, secret, "")
	role, err := iam.NewFromConfig(good).CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("deployer"), AssumeRolePolicyDocument: aws.String(trust)})
	if err != nil {
		t.Fatal(err)
	}
	out, err := sts.NewFromConfig(good).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: role.Role.Arn, RoleSessionName: aws.String("me"), DurationSeconds: aws.Int32(900)})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(aws.ToString(out.Credentials.AccessKeyId), "ASIA") || aws.ToString(out.AssumedRoleUser.Arn) != "arn:aws:sts::000000000000:assumed-role/deployer/me" ||
		time.Until(aws.ToTime(out.Credentials.Expiration)) > 900*time.Second {
		t.Errorf("assumed %s", jsonText(out))
	}
	session := s.as(*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken)
	if who, err := sts.NewFromConfig(session).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}); err != nil || aws.ToString(who.Arn) != "arn:aws:sts::000000000000:assumed-role/deployer/me" {
		t.Errorf("the session is %v %s", err, jsonText(who))
	}
	if _, err := lambda.NewFromConfig(session).ListFunctions(ctx, &lambda.ListFunctionsInput{}); err != nil {
		t.Errorf("the session lists: %v", err)
	}
	for what, c := range map[string]aws.Config{
		"no token":      s.as(*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, ""),
		"another token": s.as(*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken+"x"),
		"wrong secret":  s.as(*out.Credentials.AccessKeyId, "wrong", *out.Credentials.SessionToken),
	} {
		if _, err := sts.NewFromConfig(c).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}); err == nil {
			t.Errorf("%s: let in", what)
		} else {
			wantStatus(t, err, 403)
		}
	}
	_, err = sts.NewFromConfig(good).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::000000000000:role/nobody"), RoleSessionName: aws.String("me")})
	wantError(t, err, "AccessDenied", "is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::000000000000:role/nobody")
	_, err = sts.NewFromConfig(good).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: role.Role.Arn, RoleSessionName: aws.String("not a name")})
	wantError(t, err, "ValidationError", "'roleSessionName'")
	_, err = sts.NewFromConfig(good).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: role.Role.Arn, RoleSessionName: aws.String("me"), DurationSeconds: aws.Int32(60)})
	wantError(t, err, "ValidationError", "'durationSeconds'")
}

func TestSTSByTheCommand(t *testing.T) {
	t.Parallel()
	s := shared(t)
	s.role(t)
	if got := s.aws(t, "sts", "get-caller-identity"); got["Account"] != account || got["Arn"] == "" {
		t.Errorf("the caller is %v", got)
	}
	if got := s.aws(t, "sts", "assume-role", "--role-arn", roleARN, "--role-session-name", "me"); got["AssumedRoleUser"].(map[string]any)["Arn"] != "arn:aws:sts::000000000000:assumed-role/conformance/me" {
		t.Errorf("assumed %v", got)
	}
	s.awsFails(t, "AccessDenied", "sts", "assume-role", "--role-arn", "arn:aws:iam::000000000000:role/nobody", "--role-session-name", "me")
}

// TestOtherAddresses starts servers that other machines could reach.
func TestOtherAddresses(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"0.0.0.0", "[::]", ""} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		port, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(ctx, binary, "serve", "--listen", fmt.Sprintf("%s:%d", host, port), "--data", t.TempDir())
		cmd.Env = command().Env
		out, err := cmd.CombinedOutput()
		if err == nil || ctx.Err() != nil || !strings.Contains(string(out), "--access-key") || !strings.Contains(string(out), "127.0.0.1") {
			t.Errorf("%q without a key: %v, and it says\n%s", host, err, out)
		}
	}
	before := takeSnapshot()
	s, err := startOn("0.0.0.0", t.TempDir(), "--access-key", key+":"+secret)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.mustStop(t, before) })
	if _, err := sts.NewFromConfig(s.as(key, secret, "")).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{}); err != nil {
		t.Error(err)
	}
}
