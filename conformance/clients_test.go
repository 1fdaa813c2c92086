package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const (
	region  = "us-east-1"
	account = "000000000000"
	roleARN = "arn:aws:iam::" + account + ":role/conformance"
	trust   = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
)

// transport allows as many calls at once as a test wants to make.
var transport = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256, MaxConnsPerHost: 0}}

// as is a configuration of the SDK: one try for each call, so that tests see the first answer.
func (s *server) as(id, secret, token string) aws.Config {
	return aws.Config{
		Region: region, BaseEndpoint: &s.endpoint, HTTPClient: transport, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(id, secret, token),
	}
}

func (s *server) lambda() *lambda.Client { return lambda.NewFromConfig(s.as(account, "any", "")) }
func (s *server) iam() *iam.Client       { return iam.NewFromConfig(s.as(account, "any", "")) }

// awsPath finds the aws command, also where `make test` puts it.
var awsPath = sync.OnceValue(func() string {
	for _, name := range []string{"aws", filepath.Join(root, ".cache", "tools", "bin", "aws")} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
})

// tryAWS runs the aws command and returns what it printed to stdout; its error has what it printed to stderr.
func (s *server) tryAWS(t *testing.T, args ...string) (string, error) {
	t.Helper()
	if awsPath() == "" {
		t.Skip("there is no aws command: `make test` installs it")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, awsPath(), args...)
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "AWS_") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "AWS_ENDPOINT_URL="+s.endpoint, "AWS_ACCESS_KEY_ID="+account, "AWS_SECRET_ACCESS_KEY=any", "AWS_DEFAULT_REGION="+region,
		"AWS_PAGER=", "AWS_MAX_ATTEMPTS=1", "AWS_CONFIG_FILE=/nonexistent", "AWS_SHARED_CREDENTIALS_FILE=/nonexistent", "AWS_EC2_METADATA_DISABLED=true")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("aws %s: %w\n%s", strings.Join(args, " "), err, errs.String())
	}
	return out.String(), nil
}

// aws runs the aws command, which has to succeed, and decodes its answer.
func (s *server) aws(t *testing.T, args ...string) map[string]any {
	t.Helper()
	out, err := s.tryAWS(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]any{}
	if strings.TrimSpace(out) != "" {
		if err := json.Unmarshal([]byte(out), &m); err != nil {
			t.Fatalf("aws %s printed %s", strings.Join(args, " "), out)
		}
	}
	return m
}

// awsFails wants the aws command to fail with an AWS error code.
func (s *server) awsFails(t *testing.T, code string, args ...string) {
	t.Helper()
	if _, err := s.tryAWS(t, args...); err == nil || !strings.Contains(err.Error(), "("+code+")") {
		t.Errorf("want %s, got %v", code, err)
	}
}

// wantError checks an error's code, and that its message has a text.
func wantError(t *testing.T, err error, code, text string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) {
		t.Errorf("want %s, got %v", code, err)
		return
	}
	if api.ErrorCode() != code || !strings.Contains(api.ErrorMessage(), text) {
		t.Errorf("want %s: …%s…, got %s: %s", code, text, api.ErrorCode(), api.ErrorMessage())
	}
}

func wantStatus(t *testing.T, err error, want int) {
	t.Helper()
	var res *smithyhttp.ResponseError
	if !errors.As(err, &res) || res.HTTPStatusCode() != want {
		t.Errorf("want status %d, got %v", want, err)
	}
}
