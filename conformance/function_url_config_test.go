package conformance

import (
	"regexp"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

func TestFunctionURLConfig(t *testing.T) {
	t.Parallel()
	s, ctx := shared(t), t.Context()
	c := s.lambda()
	name := s.deploy(t, node(one))
	arn := "arn:aws:lambda:us-east-1:000000000000:function:" + name

	_, err := c.GetFunctionUrlConfig(ctx, &lambda.GetFunctionUrlConfigInput{FunctionName: &name})
	wantError(t, err, "ResourceNotFoundException", "The resource you requested does not exist.")
	made, err := c.CreateFunctionUrlConfig(ctx, &lambda.CreateFunctionUrlConfigInput{FunctionName: &name, AuthType: types.FunctionUrlAuthTypeNone})
	if err != nil {
		t.Fatal(err)
	}
	if aws.ToString(made.FunctionArn) != arn || made.AuthType != types.FunctionUrlAuthTypeNone || made.InvokeMode != types.InvokeModeBuffered ||
		!regexp.MustCompile(`^http://127\.0\.0\.1:\d+/_mayfly/url/[a-z0-9]{32}/$`).MatchString(aws.ToString(made.FunctionUrl)) {
		t.Errorf("made: %s", jsonText(made))
	}
	_, err = c.CreateFunctionUrlConfig(ctx, &lambda.CreateFunctionUrlConfigInput{FunctionName: &name, AuthType: types.FunctionUrlAuthTypeNone})
	wantError(t, err, "ResourceConflictException", "")
	changed, err := c.UpdateFunctionUrlConfig(ctx, &lambda.UpdateFunctionUrlConfigInput{FunctionName: &name, AuthType: types.FunctionUrlAuthTypeAwsIam,
		Cors: &types.Cors{AllowOrigins: []string{"https://a.example"}, MaxAge: aws.Int32(5)}})
	if err != nil || changed.AuthType != types.FunctionUrlAuthTypeAwsIam || aws.ToString(changed.FunctionUrl) != aws.ToString(made.FunctionUrl) || changed.Cors == nil {
		t.Errorf("changed: %v %s", err, jsonText(changed))
	}
	got, err := c.GetFunctionUrlConfig(ctx, &lambda.GetFunctionUrlConfigInput{FunctionName: &name})
	if err != nil || got.AuthType != types.FunctionUrlAuthTypeAwsIam || aws.ToInt32(got.Cors.MaxAge) != 5 || got.Cors.AllowOrigins[0] != "https://a.example" {
		t.Errorf("got: %v %s", err, jsonText(got))
	}
	listed, err := c.ListFunctionUrlConfigs(ctx, &lambda.ListFunctionUrlConfigsInput{FunctionName: &name})
	if err != nil || len(listed.FunctionUrlConfigs) != 1 || aws.ToString(listed.FunctionUrlConfigs[0].FunctionUrl) != aws.ToString(made.FunctionUrl) {
		t.Errorf("listed: %v %s", err, jsonText(listed))
	}
	if _, err := c.DeleteFunctionUrlConfig(ctx, &lambda.DeleteFunctionUrlConfigInput{FunctionName: &name}); err != nil {
		t.Error(err)
	}
	_, err = c.DeleteFunctionUrlConfig(ctx, &lambda.DeleteFunctionUrlConfigInput{FunctionName: &name})
	wantError(t, err, "ResourceNotFoundException", "")
	_, err = c.UpdateFunctionUrlConfig(ctx, &lambda.UpdateFunctionUrlConfigInput{FunctionName: &name, AuthType: types.FunctionUrlAuthTypeNone})
	wantError(t, err, "ResourceNotFoundException", "")
	if listed, err := c.ListFunctionUrlConfigs(ctx, &lambda.ListFunctionUrlConfigsInput{FunctionName: &name}); err != nil || len(listed.FunctionUrlConfigs) != 0 {
		t.Errorf("listed when there is none: %v %s", err, jsonText(listed))
	}
	_, err = c.CreateFunctionUrlConfig(ctx, &lambda.CreateFunctionUrlConfigInput{FunctionName: aws.String("nothing"), AuthType: types.FunctionUrlAuthTypeNone})
	wantError(t, err, "ResourceNotFoundException", "Function does not exist")
	_, err = c.ListFunctionUrlConfigs(ctx, &lambda.ListFunctionUrlConfigsInput{FunctionName: aws.String("nothing")})
	wantError(t, err, "ResourceNotFoundException", "")
	_, err = c.CreateFunctionUrlConfig(ctx, &lambda.CreateFunctionUrlConfigInput{FunctionName: &name, AuthType: "SOME"})
	wantError(t, err, "ValidationException", "1 validation error detected: Value 'SOME' at 'authType' failed to satisfy constraint: Member must satisfy enum value set: [")
	_, err = c.CreateFunctionUrlConfig(ctx, &lambda.CreateFunctionUrlConfigInput{FunctionName: &name, AuthType: types.FunctionUrlAuthTypeNone, Qualifier: aws.String("3")})
	wantError(t, err, "ValidationException", "'qualifier'")

	t.Run("cli", func(t *testing.T) {
		made := s.aws(t, "lambda", "create-function-url-config", "--function-name", name, "--auth-type", "NONE")
		if got := s.aws(t, "lambda", "get-function-url-config", "--function-name", name); got["FunctionUrl"] != made["FunctionUrl"] || got["AuthType"] != "NONE" {
			t.Errorf("got %v", got)
		}
		if got := s.aws(t, "lambda", "update-function-url-config", "--function-name", name, "--auth-type", "AWS_IAM"); got["AuthType"] != "AWS_IAM" {
			t.Errorf("updated %v", got)
		}
		if got := s.aws(t, "lambda", "list-function-url-configs", "--function-name", name); len(got["FunctionUrlConfigs"].([]any)) != 1 {
			t.Errorf("listed %v", got)
		}
		s.aws(t, "lambda", "delete-function-url-config", "--function-name", name)
		s.awsFails(t, "ResourceNotFoundException", "lambda", "get-function-url-config", "--function-name", name)
	})
}
