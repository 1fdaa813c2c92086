package conformance

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

func TestUpdateFunctionCode(t *testing.T) {
	t.Parallel()
	s := shared(t)
	name := s.deploy(t, node(one))
	before, err := s.lambda().GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: &name})
	if err != nil {
		t.Fatal(err)
	}
	two := zipOf(t, map[string]string{"index.js": `exports.handler = async () => 2`}, "")
	dry, err := s.lambda().UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: &name, ZipFile: two, DryRun: true})
	if err != nil || aws.ToString(dry.CodeSha256) == aws.ToString(before.CodeSha256) {
		t.Errorf("dry run: %v", err)
	}
	if a := s.invoke(t, name, `{}`); a.payload != "1" {
		t.Errorf("a dry run changed the code: %+v", a)
	}
	_, err = s.lambda().UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: &name, ZipFile: two, RevisionId: aws.String("11111111-1111-1111-1111-111111111111")})
	wantError(t, err, "PreconditionFailedException", "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id")
	out, err := s.lambda().UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: &name, ZipFile: two, RevisionId: before.RevisionId})
	if err != nil {
		t.Fatal(err)
	}
	if out.LastUpdateStatus != types.LastUpdateStatusInProgress || aws.ToString(out.RevisionId) == aws.ToString(before.RevisionId) || aws.ToString(out.CodeSha256) != aws.ToString(dry.CodeSha256) {
		t.Errorf("the answer is %s", jsonText(out))
	}
	s.updated(t, name)
	if a := s.invoke(t, name, `{}`); a.payload != "2" {
		t.Errorf("updated: %+v", a)
	}
	_, err = s.lambda().UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: aws.String("nothing"), ZipFile: two})
	wantError(t, err, "ResourceNotFoundException", "Function not found: ")
	_, err = s.lambda().UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: &name, ZipFile: []byte("x")})
	wantError(t, err, "InvalidParameterValueException", "Could not unzip uploaded file")

	s.aws(t, "lambda", "update-function-code", "--function-name", name, "--zip-file", zipFile(t, node(`exports.handler = async () => 3`)))
	s.aws(t, "lambda", "wait", "function-updated-v2", "--function-name", name)
	if a := s.invoke(t, name, `{}`); a.payload != "3" {
		t.Errorf("updated by the aws command: %+v", a)
	}
	s.awsFails(t, "PreconditionFailedException", "lambda", "update-function-code", "--function-name", name, "--zip-file", zipFile(t, node(one)), "--revision-id", "11111111-1111-1111-1111-111111111111")
}

func TestUpdateFunctionConfiguration(t *testing.T) {
	t.Parallel()
	s := shared(t)
	f := node(`exports.handler = async () => [process.env.AB, process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE]; exports.other = async () => 'other'`)
	f.env = map[string]string{"AB": "1"}
	name := s.deploy(t, f)
	if a := s.invoke(t, name, `{}`); a.payload != `["1","128"]` {
		t.Errorf("got %+v", a)
	}
	out, err := s.lambda().UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: &name, MemorySize: aws.Int32(192), Timeout: aws.Int32(9),
		Environment: &types.Environment{Variables: map[string]string{"AB": "2"}}, Description: aws.String("changed")})
	if err != nil {
		t.Fatal(err)
	}
	if out.LastUpdateStatus != types.LastUpdateStatusInProgress || aws.ToInt32(out.MemorySize) != 192 || aws.ToInt32(out.Timeout) != 9 || aws.ToString(out.Handler) != "index.handler" {
		t.Errorf("the answer is %s", jsonText(out))
	}
	s.updated(t, name)
	if a := s.invoke(t, name, `{}`); a.payload != `["2","192"]` {
		t.Errorf("updated: %+v", a)
	}
	for _, tc := range []struct {
		in         lambda.UpdateFunctionConfigurationInput
		code, text string
	}{
		{lambda.UpdateFunctionConfigurationInput{FunctionName: &name, MemorySize: aws.Int32(20000)}, "ValidationException", "1 validation error detected: Value '20000' at 'memorySize' failed to satisfy constraint: Member must have value less than or equal to 10240"},
		{lambda.UpdateFunctionConfigurationInput{FunctionName: &name, Timeout: aws.Int32(0)}, "ValidationException", "at 'timeout' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{lambda.UpdateFunctionConfigurationInput{FunctionName: &name, Timeout: aws.Int32(5), RevisionId: aws.String("x")}, "PreconditionFailedException", "The Revision Id provided does not match the latest Revision Id"},
		{lambda.UpdateFunctionConfigurationInput{FunctionName: &name, Runtime: "python3.4"}, "InvalidParameterValueException", "python3.4"},
		{lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("nothing")}, "ResourceNotFoundException", "Function not found: "},
	} {
		_, err := s.lambda().UpdateFunctionConfiguration(t.Context(), &tc.in)
		wantError(t, err, tc.code, tc.text)
	}
	if cli := s.aws(t, "lambda", "update-function-configuration", "--function-name", name, "--handler", "index.other"); cli["Handler"] != "index.other" || cli["MemorySize"] != 192.0 {
		t.Errorf("the aws command has %v", cli)
	}
	s.aws(t, "lambda", "wait", "function-updated", "--function-name", name)
	if a := s.invoke(t, name, `{}`); a.payload != `"other"` {
		t.Errorf("updated by the aws command: %+v", a)
	}
	s.awsFails(t, "ResourceNotFoundException", "lambda", "update-function-configuration", "--function-name", "nothing", "--timeout", "4")
}

func TestDeleteFunction(t *testing.T) {
	t.Parallel()
	s := shared(t)
	name := s.deploy(t, node(one))
	s.invoke(t, name, `{}`)
	if err := s.lambdaDelete(t, name); err != nil {
		t.Fatal(err)
	}
	_, err := s.lambda().GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: &name})
	wantError(t, err, "ResourceNotFoundException", "Function not found: ")
	_, err = s.tryInvoke(t.Context(), name, `{}`)
	wantError(t, err, "ResourceNotFoundException", "Function not found: ")
	wantError(t, s.lambdaDelete(t, name), "ResourceNotFoundException", "Function not found: ")
	eventually(t, 10*time.Second, "its instances are gone", func() error {
		if all := s.instances(t, name); len(all) > 0 {
			return fmt.Errorf("%+v", all)
		}
		return nil
	})
	// The name is free again, and nothing of the first function shows.
	f := node(`exports.handler = async () => 'new'`)
	s.deployAs(t, name, f)
	if a := s.invoke(t, name, `{}`); a.payload != `"new"` {
		t.Errorf("made again: %+v", a)
	}
	s.aws(t, "lambda", "delete-function", "--function-name", name)
	s.awsFails(t, "ResourceNotFoundException", "lambda", "delete-function", "--function-name", name)
}
