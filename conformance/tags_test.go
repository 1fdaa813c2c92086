package conformance

import (
	"fmt"
	"maps"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

func TestTags(t *testing.T) {
	t.Parallel()
	s, ctx := shared(t), t.Context()
	c := s.lambda()
	f := node(one)
	f.tags = map[string]string{"team": "x", "stage": "test"}
	name := s.deploy(t, f)
	arn := "arn:aws:lambda:us-east-1:000000000000:function:" + name
	want := func(tags map[string]string) {
		t.Helper()
		tags["mayfly:egress"] = "none" // every function of these tests has it
		out, err := c.ListTags(ctx, &lambda.ListTagsInput{Resource: &arn})
		if err != nil || !maps.Equal(out.Tags, tags) {
			t.Errorf("%v %v, want %v", err, out, tags)
		}
	}
	want(map[string]string{"team": "x", "stage": "test"})
	if _, err := c.TagResource(ctx, &lambda.TagResourceInput{Resource: &arn, Tags: map[string]string{"team": "y", "new": "1"}}); err != nil {
		t.Fatal(err)
	}
	want(map[string]string{"team": "y", "stage": "test", "new": "1"})
	if _, err := c.UntagResource(ctx, &lambda.UntagResourceInput{Resource: &arn, TagKeys: []string{"new", "nowhere"}}); err != nil {
		t.Fatal(err)
	}
	want(map[string]string{"team": "y", "stage": "test"})

	many := map[string]string{}
	for i := range 49 {
		many[fmt.Sprint("k", i)] = "v"
	}
	_, err := c.TagResource(ctx, &lambda.TagResourceInput{Resource: &arn, Tags: many})
	wantError(t, err, "InvalidParameterValueException", "")
	nothing := "arn:aws:lambda:us-east-1:000000000000:function:nothing"
	_, err = c.ListTags(ctx, &lambda.ListTagsInput{Resource: &nothing})
	wantError(t, err, "ResourceNotFoundException", "Function not found: "+nothing)
	_, err = c.TagResource(ctx, &lambda.TagResourceInput{Resource: &nothing, Tags: map[string]string{"a": "b"}})
	wantError(t, err, "ResourceNotFoundException", "")
	_, err = c.UntagResource(ctx, &lambda.UntagResourceInput{Resource: aws.String(arn + ":1"), TagKeys: []string{"a"}})
	wantError(t, err, "InvalidParameterValueException", "Tags on function aliases and versions are not supported. Please specify a function ARN.")
	_, err = c.ListTags(ctx, &lambda.ListTagsInput{Resource: aws.String("no-arn")})
	wantError(t, err, "ValidationException", "1 validation error detected: Value 'no-arn' at 'resource' failed to satisfy constraint: Member must satisfy regular expression pattern: ")

	s.aws(t, "lambda", "tag-resource", "--resource", arn, "--tags", "cli=yes")
	if got := s.aws(t, "lambda", "list-tags", "--resource", arn); got["Tags"].(map[string]any)["cli"] != "yes" {
		t.Errorf("listed %v", got)
	}
	s.aws(t, "lambda", "untag-resource", "--resource", arn, "--tag-keys", "cli")
	want(map[string]string{"team": "y", "stage": "test"})
	s.awsFails(t, "ResourceNotFoundException", "lambda", "list-tags", "--resource", nothing)
	s.awsFails(t, "ResourceNotFoundException", "lambda", "tag-resource", "--resource", nothing, "--tags", "a=b")
	s.awsFails(t, "ResourceNotFoundException", "lambda", "untag-resource", "--resource", nothing, "--tag-keys", "a")
}

func TestGetAccountSettings(t *testing.T) {
	t.Parallel()
	s := shared(t)
	s.deploy(t, node(one))
	out, err := s.lambda().GetAccountSettings(t.Context(), &lambda.GetAccountSettingsInput{})
	if err != nil {
		t.Fatal(err)
	}
	if l := out.AccountLimit; l.ConcurrentExecutions != 1000 || aws.ToInt32(l.UnreservedConcurrentExecutions) != 1000 || l.CodeSizeZipped != 52428800 || l.CodeSizeUnzipped != 262144000 || l.TotalCodeSize != 80530636800 ||
		out.AccountUsage.FunctionCount < 1 || out.AccountUsage.TotalCodeSize < 100 {
		t.Errorf("got %s", jsonText(out))
	}
	if got := s.aws(t, "lambda", "get-account-settings"); got["AccountLimit"].(map[string]any)["ConcurrentExecutions"] != 1000.0 {
		t.Errorf("the aws command has %v", got)
	}
}

// TestNotImplemented calls what Mayfly does not have: it says so, with status 501.
func TestNotImplemented(t *testing.T) {
	t.Parallel()
	s := shared(t)
	name := s.deploy(t, node(one))
	_, err := s.lambda().PublishLayerVersion(t.Context(), &lambda.PublishLayerVersionInput{LayerName: aws.String("l"), Content: &types.LayerVersionContentInput{ZipFile: []byte("x")}})
	wantError(t, err, "NotImplementedException", "PublishLayerVersion")
	wantStatus(t, err, 501)
	_, err = s.lambda().PutFunctionEventInvokeConfig(t.Context(), &lambda.PutFunctionEventInvokeConfigInput{FunctionName: &name, MaximumRetryAttempts: aws.Int32(1)})
	wantError(t, err, "NotImplementedException", "PutFunctionEventInvokeConfig")
	_, err = s.lambda().Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &name, InvocationType: "Event"})
	wantError(t, err, "NotImplementedException", "Event")
	s.awsFails(t, "NotImplementedException", "lambda", "list-layers")
	s.awsFails(t, "NotImplemented", "iam", "list-users")
}
