package conformance

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

func download(t *testing.T, url string) []byte {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", url, res.Status, err)
	}
	return body
}

func TestGetFunction(t *testing.T) {
	t.Parallel()
	s := shared(t)
	f := node(one)
	f.tags = map[string]string{"team": "x"}
	code := zipOf(t, f.files, "")
	name := s.deploy(t, f)
	out, err := s.lambda().GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: &name})
	if err != nil {
		t.Fatal(err)
	}
	if out.Configuration.State != types.StateActive || out.Configuration.LastUpdateStatus != types.LastUpdateStatusSuccessful || aws.ToString(out.Code.RepositoryType) != "S3" || out.Tags["team"] != "x" {
		t.Errorf("the answer is %s", jsonText(out))
	}
	if got := download(t, aws.ToString(out.Code.Location)); !bytes.Equal(got, code) {
		t.Errorf("Code.Location has %d bytes, %d were sent", len(got), len(code))
	}
	if res, err := http.Get(strings.Replace(aws.ToString(out.Code.Location), "Signature=", "Signature=0", 1)); err != nil || res.StatusCode != http.StatusForbidden {
		t.Errorf("a link with another signature: %v %v", res.Status, err)
	}
	cli := s.aws(t, "lambda", "get-function", "--function-name", name)
	if got := download(t, cli["Code"].(map[string]any)["Location"].(string)); !bytes.Equal(got, code) {
		t.Error("the aws command's link has other bytes")
	}

	arn := aws.ToString(out.Configuration.FunctionArn)
	for _, form := range []string{arn, arn + ":$LATEST", name + ":$LATEST", account + ":function:" + name, "function:" + name, account + ":function:" + name + ":$LATEST"} {
		if out, err := s.lambda().GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: &form}); err != nil || aws.ToString(out.Configuration.FunctionName) != name {
			if form == "function:"+name && err != nil {
				continue // not one of Lambda's forms
			}
			t.Errorf("%s: %v", form, err)
		}
	}
	for _, tc := range []struct{ name, qualifier, code, text string }{
		{"nothing", "", "ResourceNotFoundException", "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nothing"},
		{name, "7", "ResourceNotFoundException", "Function not found: " + arn + ":7"},
		{name + ":7", "", "ResourceNotFoundException", "Function not found: " + arn + ":7"},
		{name + ":7", "8", "InvalidParameterValueException", "The derived qualifier from the function name does not match the specified qualifier."},
		{strings.Replace(arn, "us-east-1", "eu-west-1", 1), "", "ResourceNotFoundException", "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')"},
		{strings.Replace(arn, account, "111111111111", 1), "", "ResourceNotFoundException", "Function not found: "},
		{"not!a!name", "", "ValidationException", "1 validation error detected: Value 'not!a!name' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: "},
	} {
		in := &lambda.GetFunctionInput{FunctionName: &tc.name}
		if tc.qualifier != "" {
			in.Qualifier = &tc.qualifier
		}
		_, err := s.lambda().GetFunction(t.Context(), in)
		wantError(t, err, tc.code, tc.text)
	}
	s.awsFails(t, "ResourceNotFoundException", "lambda", "get-function", "--function-name", "nothing")

	// An access key of twelve digits names the account: others do not see the function.
	_, err = lambda.NewFromConfig(s.as("111111111111", "x", "")).GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: &name})
	wantError(t, err, "ResourceNotFoundException", "arn:aws:lambda:us-east-1:111111111111:function:"+name)
}

func TestGetFunctionConfiguration(t *testing.T) {
	t.Parallel()
	s := shared(t)
	f := node(one)
	f.env = map[string]string{"AB": "b"}
	name := s.deploy(t, f)
	out, err := s.lambda().GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: &name, Qualifier: aws.String("$LATEST")})
	if err != nil {
		t.Fatal(err)
	}
	if out.State != types.StateActive || aws.ToString(out.Handler) != "index.handler" || out.Environment.Variables["AB"] != "b" || aws.ToString(out.Role) != roleARN || string(out.Runtime) != nodeRuntime {
		t.Errorf("the answer is %s", jsonText(out))
	}
	_, err = s.lambda().GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("nothing")})
	wantError(t, err, "ResourceNotFoundException", "Function not found: ")
	if cli := s.aws(t, "lambda", "get-function-configuration", "--function-name", name); cli["State"] != "Active" || cli["CodeSha256"] != aws.ToString(out.CodeSha256) {
		t.Errorf("the aws command has %v", cli)
	}
	s.awsFails(t, "ResourceNotFoundException", "lambda", "get-function-configuration", "--function-name", "nothing")
}
