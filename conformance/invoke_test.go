package conformance

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

func TestInvoke(t *testing.T) {
	t.Parallel()
	s := shared(t)
	f := node(`exports.handler = async (e, c) => { console.log('called'); return {e, arn: c.invokedFunctionArn, client: c.clientContext} }`)
	f.memory, f.timeout = 512, 20
	name := s.deploy(t, f)
	arn := "arn:aws:lambda:us-east-1:000000000000:function:" + name

	out, err := s.lambda().Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &name, Payload: []byte(`{"a":"ü"}`), LogType: types.LogTypeTail,
		ClientContext: aws.String(base64.StdEncoding.EncodeToString([]byte(`{"custom":{"k":"v"}}`)))})
	if err != nil {
		t.Fatal(err)
	}
	log, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
	if want := `{"e":{"a":"ü"},"arn":"` + arn + `","client":{"custom":{"k":"v"}}}`; string(out.Payload) != want || out.StatusCode != 200 || out.FunctionError != nil ||
		aws.ToString(out.ExecutedVersion) != "$LATEST" || err != nil || !strings.Contains(string(log), "\tINFO\tcalled\n") || !strings.HasPrefix(string(log), "START") {
		t.Errorf("%d %s, version %s, log\n%s", out.StatusCode, out.Payload, aws.ToString(out.ExecutedVersion), log)
	}
	if out, err := s.lambda().Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &name}); err != nil || out.LogResult != nil || !strings.Contains(string(out.Payload), `"e":{}`) {
		t.Errorf("without a payload: %v %s", err, out.Payload)
	}
	if out, err := s.lambda().Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &name, Qualifier: aws.String("$LATEST")}); err != nil || !strings.Contains(string(out.Payload), arn+`:$LATEST"`) {
		t.Errorf("with a qualifier: %v %s", err, out.Payload)
	}
	if out, err := s.lambda().Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String(account + ":function:" + name)}); err != nil || !strings.Contains(string(out.Payload), arn) {
		t.Errorf("by a partial ARN: %v", err)
	}
	if out, err := s.lambda().Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &name, InvocationType: types.InvocationTypeDryRun}); err != nil || out.StatusCode != 204 || len(out.Payload) != 0 {
		t.Errorf("dry run: %v %+v", err, out)
	}

	most := `"` + strings.Repeat("x", 6<<20-2) + `"`
	if a, err := s.tryInvoke(t.Context(), s.deployAs(t, "invoke-length", func() fn {
		f := node(`exports.handler = async e => e.length`)
		f.memory, f.timeout = 512, 20
		return f
	}()), most); err != nil || a.payload != "6291454" {
		t.Errorf("6 MB: %v %.200s", err, a.payload)
	}
	for _, tc := range []struct {
		what       string
		in         lambda.InvokeInput
		code, text string
	}{
		{"bad JSON", lambda.InvokeInput{FunctionName: &name, Payload: []byte(`{"a":`)}, "InvalidRequestContentException", "Could not parse request body into json: Could not parse payload into json: "},
		{"no JSON", lambda.InvokeInput{FunctionName: &name, Payload: []byte(`hello`)}, "InvalidRequestContentException", "Unrecognized token 'hello': was expecting"},
		{"more than 6 MB", lambda.InvokeInput{FunctionName: &name, Payload: []byte(most + " ")}, "RequestEntityTooLargeException", "Request must be smaller than 6291456 bytes for the InvokeFunction operation"},
		{"unknown", lambda.InvokeInput{FunctionName: aws.String("nothing")}, "ResourceNotFoundException", "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nothing"},
		{"unknown version", lambda.InvokeInput{FunctionName: &name, Qualifier: aws.String("9")}, "ResourceNotFoundException", "Function not found: " + arn + ":9"},
		{"client context", lambda.InvokeInput{FunctionName: &name, ClientContext: aws.String("!")}, "InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object."},
		{"invocation type", lambda.InvokeInput{FunctionName: &name, InvocationType: "Later"}, "ValidationException", "at 'invocationType' failed to satisfy constraint: Member must satisfy enum value set: ["},
	} {
		_, err := s.lambda().Invoke(t.Context(), &tc.in)
		if err == nil {
			t.Errorf("%s: no error", tc.what)
			continue
		}
		wantError(t, err, tc.code, tc.text)
	}

	t.Run("cli", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		in, to := filepath.Join(dir, "in"), filepath.Join(dir, "out")
		if err := os.WriteFile(in, []byte(`{"n":1}`), 0o600); err != nil {
			t.Fatal(err)
		}
		cli := s.aws(t, "lambda", "invoke", "--function-name", name, "--payload", "fileb://"+in, "--log-type", "Tail", to)
		body, err := os.ReadFile(to)
		if err != nil || !strings.HasPrefix(string(body), `{"e":{"n":1}`) || cli["StatusCode"] != 200.0 || cli["ExecutedVersion"] != "$LATEST" || cli["LogResult"] == nil {
			t.Errorf("%v %s %v", err, body, cli)
		}
		s.awsFails(t, "ResourceNotFoundException", "lambda", "invoke", "--function-name", "nothing", to)
		fails := s.deployAs(t, "invoke-fails", node(`exports.handler = async () => { throw new Error('x') }`))
		if cli := s.aws(t, "lambda", "invoke", "--function-name", fails, to); cli["FunctionError"] != "Unhandled" {
			t.Errorf("a failing function: %v", cli)
		}
	})
}

// TestPending calls functions the moment they were made, and sees Lambda's error or the answer, nothing else.
func TestPending(t *testing.T) {
	t.Parallel()
	s := shared(t)
	for range 5 {
		name := "pending"
		if _, err := s.lambda().CreateFunction(t.Context(), s.input(t, name, node(one))); err != nil {
			t.Fatal(err)
		}
		if a, err := s.tryInvoke(t.Context(), name, `{}`); err != nil {
			wantError(t, err, "ResourceConflictException", "The operation cannot be performed at this time. The function is currently in the following state: Pending")
		} else if a.payload != "1" {
			t.Errorf("got %+v", a)
		}
		s.active(t, name)
		if err := s.lambdaDelete(t, name); err != nil {
			t.Fatal(err)
		}
	}
}
