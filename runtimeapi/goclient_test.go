package runtimeapi

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestGoClient runs a function built with github.com/aws/aws-lambda-go.
func TestGoClient(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program: not with -short")
	}
	bin := filepath.Join(t.TempDir(), "bootstrap")
	if out, err := exec.Command("go", "build", "-o", bin, "./testdata/gofunc").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	f := newFixture(t, Options{})
	cmd := exec.Command(bin)
	cmd.Env = []string{"AWS_LAMBDA_RUNTIME_API=" + strings.TrimPrefix(f.base, "http://")}
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	defer func() {
		if !ended {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}()
	<-f.Ready()
	ask := func(id, payload string) Response {
		t.Helper()
		r, err := f.Invoke(t.Context(), Event{
			RequestID: id, ARN: "arn:aws:lambda:us-east-1:000000000000:function:f", Deadline: time.Now().Add(time.Minute),
			ClientContext: `{"client":{"app_title":"title"}}`, CognitoIdentity: `{"cognitoIdentityId":"me"}`, Payload: []byte(payload),
		})
		if err != nil {
			t.Fatalf("%v\n%s", err, output.String())
		}
		return r
	}
	want := `"id-1 arn:aws:lambda:us-east-1:000000000000:function:f title true me"`
	if r := ask("id-1", `{}`); string(r.Payload) != want || r.Error != nil {
		t.Errorf("got %s, want %s", r.Payload, want)
	}
	if r := ask("id-2", `{"do":"error"}`); r.Error == nil || r.Error.Type != "errorString" ||
		string(r.Payload) != `{"errorMessage":"as asked","errorType":"errorString"}` {
		t.Errorf("got %s, %+v", r.Payload, r.Error)
	}
	if r := ask("id-3", `{}`); r.Error != nil {
		t.Errorf("after an error: %+v", r.Error)
	}
	if r := ask("id-4", `{"do":"panic"}`); r.Error == nil || !strings.Contains(string(r.Payload), `"errorMessage":"as asked","errorType":"string"`) {
		t.Errorf("got %s", r.Payload)
	}
	if err := cmd.Wait(); err == nil { // the client ends its process after a panic
		t.Error("the process ended well after a panic")
	}
	ended = true
}
