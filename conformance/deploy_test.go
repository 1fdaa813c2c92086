package conformance

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
)

// fn is a function to deploy.
type fn struct {
	runtime, handler string
	files            map[string]string // name → contents
	dir              string            // files of a folder, besides
	memory, timeout  int32
	env              map[string]string
	tags             map[string]string
	json             bool // log format
	egress           string
}

// zipOf packs files; bootstrap and what is executable in a folder stay so.
func zipOf(t *testing.T, files map[string]string, dir string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	add := func(name string, mode fs.FileMode, body []byte) {
		h := &zip.FileHeader{Name: filepath.ToSlash(name), Method: zip.Deflate}
		h.SetMode(mode)
		f, err := w.CreateHeader(h)
		if err == nil {
			_, err = f.Write(body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, body := range files {
		mode := fs.FileMode(0o644)
		if name == "bootstrap" {
			mode = 0o755
		}
		add(name, mode, []byte(body))
	}
	if dir != "" {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && (d.Name() == "__pycache__" || d.Name() == ".bin") {
				return fs.SkipDir
			}
			if !d.Type().IsRegular() {
				return nil
			}
			rel, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			body, err := os.ReadFile(path)
			if err == nil {
				add(rel, info.Mode().Perm(), body)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// role makes the role that the functions of the tests have.
func (s *server) role(t *testing.T) {
	t.Helper()
	s.roleOnce.Do(func() {
		_, err := s.iam().CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("conformance"), AssumeRolePolicyDocument: aws.String(trust)})
		var api smithy.APIError
		if err != nil && (!errors.As(err, &api) || api.ErrorCode() != "EntityAlreadyExists") {
			t.Fatal(err)
		}
	})
}

// input is the request that deploys f.
func (s *server) input(t *testing.T, name string, f fn) *lambda.CreateFunctionInput {
	t.Helper()
	s.role(t)
	in := &lambda.CreateFunctionInput{
		FunctionName: &name, Role: aws.String(roleARN), Runtime: types.Runtime(f.runtime), Handler: aws.String(f.handler),
		Code: &types.FunctionCode{ZipFile: zipOf(t, f.files, f.dir)}, Tags: f.tags,
	}
	if f.memory > 0 {
		in.MemorySize = &f.memory
	}
	if f.timeout > 0 {
		in.Timeout = &f.timeout
	}
	if f.env != nil {
		in.Environment = &types.Environment{Variables: f.env}
	}
	if f.json {
		in.LoggingConfig = &types.LoggingConfig{LogFormat: types.LogFormatJson}
	}
	if f.egress == "" {
		f.egress = "none" // most need no network, and a link for each of hundreds of instances takes time
	}
	if in.Tags == nil {
		in.Tags = map[string]string{}
	}
	in.Tags["mayfly:egress"] = f.egress
	return in
}

// deploy creates a function, named after the test, and waits until it is active.
func (s *server) deploy(t *testing.T, f fn) string {
	t.Helper()
	return s.deployAs(t, strings.NewReplacer("/", "-", " ", "-", ",", "", "'", "", ".", "_", ":", "", "=", "").Replace(t.Name()), f)
}

func (s *server) deployAs(t *testing.T, name string, f fn) string {
	t.Helper()
	if len(name) > 64 {
		name = name[len(name)-64:]
	}
	if _, err := s.lambda().CreateFunction(t.Context(), s.input(t, name, f)); err != nil {
		t.Fatalf("create %s: %v", name, err)
	}
	s.active(t, name)
	return name
}

func (s *server) active(t *testing.T, name string) {
	t.Helper()
	w := lambda.NewFunctionActiveV2Waiter(s.lambda(), func(o *lambda.FunctionActiveV2WaiterOptions) {
		o.MinDelay, o.MaxDelay = 10*time.Millisecond, 100*time.Millisecond
	})
	if err := w.Wait(t.Context(), &lambda.GetFunctionInput{FunctionName: &name}, 30*time.Second); err != nil {
		t.Fatalf("%s does not become active: %v", name, err)
	}
}

// answer is what an invocation gave.
type answer struct {
	payload, log, failed, version string
}

// tryInvoke calls a function synchronously and asks for the tail of its log.
func (s *server) tryInvoke(ctx context.Context, name, payload string) (answer, error) {
	out, err := s.lambda().Invoke(ctx, &lambda.InvokeInput{FunctionName: &name, Payload: []byte(payload), LogType: types.LogTypeTail})
	if err != nil {
		return answer{}, err
	}
	log, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
	return answer{string(out.Payload), string(log), aws.ToString(out.FunctionError), aws.ToString(out.ExecutedVersion)}, err
}

func (s *server) invoke(t *testing.T, name, payload string) answer {
	t.Helper()
	a, err := s.tryInvoke(t.Context(), name, payload)
	if err != nil {
		t.Fatalf("invoke %s: %v", name, err)
	}
	return a
}

// errorBody is what a failed invocation answers.
type errorBody struct {
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
	Trace   []any  `json:"stackTrace"`
	Stack   []any  `json:"trace"`
}

func (a answer) error(t *testing.T) errorBody {
	t.Helper()
	var b errorBody
	if a.failed != "Unhandled" {
		t.Fatalf("X-Amz-Function-Error is %q, and the answer %s", a.failed, a.payload)
	}
	if err := json.Unmarshal([]byte(a.payload), &b); err != nil {
		t.Fatalf("%v in %s", err, a.payload)
	}
	return b
}

// node and python deploy a handler given as source.
func node(source string) fn {
	return fn{runtime: nodeRuntime, handler: "index.handler", files: map[string]string{"index.js": source}}
}

func python(source string) fn {
	return fn{runtime: pythonRuntime, handler: "lambda_function.handler", files: map[string]string{"lambda_function.py": source}}
}

// deployWith is deployAs with credentials.
func (s *server) deployWith(t *testing.T, c *aws.Credentials, name string, f fn) {
	t.Helper()
	config := s.as(c.AccessKeyID, c.SecretAccessKey, c.SessionToken)
	s.roleOnce.Do(func() {
		if _, err := iam.NewFromConfig(config).CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("conformance"), AssumeRolePolicyDocument: aws.String(trust)}); err != nil {
			t.Fatal(err)
		}
	})
	client := lambda.NewFromConfig(config)
	if _, err := client.CreateFunction(t.Context(), s.input(t, name, f)); err != nil {
		t.Fatalf("create %s: %v", name, err)
	}
	if err := lambda.NewFunctionActiveV2Waiter(client).Wait(t.Context(), &lambda.GetFunctionInput{FunctionName: &name}, 30*time.Second); err != nil {
		t.Fatal(err)
	}
}

func (s *server) lambdaDelete(t *testing.T, name string) error {
	t.Helper()
	_, err := s.lambda().DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: &name})
	return err
}
