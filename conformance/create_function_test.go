package conformance

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

const one = `exports.handler = async () => 1`

// zipFile writes a package for the aws command.
func zipFile(t *testing.T, f fn) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "code.zip")
	if err := os.WriteFile(path, zipOf(t, f.files, f.dir), 0o600); err != nil {
		t.Fatal(err)
	}
	return "fileb://" + path
}

func TestCreateFunction(t *testing.T) {
	t.Parallel()
	s := shared(t)
	t.Run("sdk", func(t *testing.T) {
		t.Parallel()
		f := node(one)
		f.memory, f.timeout, f.env, f.tags = 256, 7, map[string]string{"AB": "b"}, map[string]string{"team": "x"}
		in := s.input(t, "create-sdk", f)
		in.Description = aws.String("what it does")
		in.EphemeralStorage = &types.EphemeralStorage{Size: aws.Int32(1024)}
		out, err := s.lambda().CreateFunction(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(in.Code.ZipFile)
		if aws.ToString(out.FunctionArn) != "arn:aws:lambda:us-east-1:000000000000:function:create-sdk" || out.State != types.StatePending || out.StateReasonCode != types.StateReasonCodeCreating ||
			aws.ToString(out.CodeSha256) != base64.StdEncoding.EncodeToString(sum[:]) || out.CodeSize != int64(len(in.Code.ZipFile)) || aws.ToString(out.Version) != "$LATEST" ||
			aws.ToInt32(out.MemorySize) != 256 || aws.ToInt32(out.Timeout) != 7 || out.Environment.Variables["AB"] != "b" || aws.ToString(out.Description) != "what it does" ||
			aws.ToInt32(out.EphemeralStorage.Size) != 1024 || out.PackageType != types.PackageTypeZip || aws.ToString(out.RevisionId) == "" || len(out.Architectures) != 1 ||
			out.TracingConfig.Mode != types.TracingModePassThrough || aws.ToString(out.LoggingConfig.LogGroup) != "/aws/lambda/create-sdk" {
			t.Errorf("the answer is %s", jsonText(out))
		}
		if at, err := time.Parse("2006-01-02T15:04:05.000-0700", aws.ToString(out.LastModified)); err != nil || time.Since(at) > time.Hour {
			t.Errorf("LastModified %q: %v", aws.ToString(out.LastModified), err)
		}
		s.active(t, "create-sdk")
		_, err = s.lambda().CreateFunction(t.Context(), in)
		wantError(t, err, "ResourceConflictException", "Function already exist: create-sdk")
	})
	t.Run("defaults", func(t *testing.T) {
		t.Parallel()
		out, err := s.lambda().CreateFunction(t.Context(), s.input(t, "create-defaults", node(one)))
		if err != nil {
			t.Fatal(err)
		}
		if aws.ToInt32(out.MemorySize) != 128 || aws.ToInt32(out.Timeout) != 3 || aws.ToInt32(out.EphemeralStorage.Size) != 512 || out.SnapStart.ApplyOn != types.SnapStartApplyOnNone {
			t.Errorf("the defaults are %s", jsonText(out))
		}
	})
	t.Run("cli", func(t *testing.T) {
		t.Parallel()
		s.role(t)
		args := []string{"lambda", "create-function", "--function-name", "create-cli", "--runtime", nodeRuntime, "--handler", "index.handler", "--role", roleARN, "--zip-file", zipFile(t, node(one))}
		if out := s.aws(t, args...); out["FunctionName"] != "create-cli" || out["State"] != "Pending" {
			t.Errorf("the answer is %v", out)
		}
		s.aws(t, "lambda", "wait", "function-active-v2", "--function-name", "create-cli")
		s.awsFails(t, "ResourceConflictException", args...)
		if a := s.invoke(t, "create-cli", `{}`); a.payload != "1" {
			t.Errorf("invoked: %+v", a)
		}
	})
	t.Run("errors", func(t *testing.T) {
		t.Parallel()
		slip := func(names ...string) []byte {
			var buf bytes.Buffer
			w := zip.NewWriter(&buf)
			for _, name := range names {
				f, err := w.Create(name)
				if err == nil {
					_, err = f.Write([]byte("x"))
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			w.Close()
			return buf.Bytes()
		}
		bomb := func() []byte { // 260 MB of zeros
			var buf bytes.Buffer
			w := zip.NewWriter(&buf)
			f, err := w.Create("zeros")
			if err != nil {
				t.Fatal(err)
			}
			for range 260 {
				if _, err := f.Write(make([]byte, 1<<20)); err != nil {
					t.Fatal(err)
				}
			}
			w.Close()
			return buf.Bytes()
		}
		for _, tc := range []struct {
			name       string
			change     func(*lambda.CreateFunctionInput)
			code, text string
		}{
			{"memory", func(in *lambda.CreateFunctionInput) { in.MemorySize = aws.Int32(64) }, "ValidationException",
				"1 validation error detected: Value '64' at 'memorySize' failed to satisfy constraint: Member must have value greater than or equal to 128"},
			{"timeout", func(in *lambda.CreateFunctionInput) { in.Timeout = aws.Int32(901) }, "ValidationException",
				"1 validation error detected: Value '901' at 'timeout' failed to satisfy constraint: Member must have value less than or equal to 900"},
			{"two at once", func(in *lambda.CreateFunctionInput) { in.Timeout, in.MemorySize = aws.Int32(901), aws.Int32(64) }, "ValidationException", "2 validation errors detected: "},
			{"role", func(in *lambda.CreateFunctionInput) { in.Role = aws.String("nobody") }, "ValidationException", "at 'role' failed to satisfy constraint: Member must satisfy regular expression pattern: "},
			{"runtime that nobody knows", func(in *lambda.CreateFunctionInput) { in.Runtime = "cobol1.x" }, "InvalidParameterValueException", "Value cobol1.x at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: ["},
			{"runtime that is not here", func(in *lambda.CreateFunctionInput) { in.Runtime = "ruby3.4" }, "InvalidParameterValueException", nodeRuntime},
			{"no handler", func(in *lambda.CreateFunctionInput) { in.Handler = nil }, "InvalidParameterValueException", "Runtime and Handler are mandatory parameters for functions created with deployment packages."},
			{"no zip", func(in *lambda.CreateFunctionInput) { in.Code = &types.FunctionCode{ZipFile: []byte("no zip")} }, "InvalidParameterValueException", "Could not unzip uploaded file. Please check your file, then try to upload again."},
			{"no code", func(in *lambda.CreateFunctionInput) { in.Code = &types.FunctionCode{} }, "InvalidParameterValueException", ""},
			{"zip slip", func(in *lambda.CreateFunctionInput) { in.Code.ZipFile = slip("index.js", "../../../../etc/slipped") }, "InvalidParameterValueException", ""},
			{"absolute name", func(in *lambda.CreateFunctionInput) { in.Code.ZipFile = slip("/etc/slipped") }, "InvalidParameterValueException", ""},
			{"zip bomb", func(in *lambda.CreateFunctionInput) { in.Code.ZipFile = bomb() }, "InvalidParameterValueException", "Unzipped size must be smaller than 262144000 bytes"},
			{"reserved variable", func(in *lambda.CreateFunctionInput) {
				in.Environment = &types.Environment{Variables: map[string]string{"AWS_REGION": "x"}}
			}, "InvalidParameterValueException", "Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys that are currently not supported for modification. Reserved keys used in this request: AWS_REGION"},
			{"much environment", func(in *lambda.CreateFunctionInput) {
				in.Environment = &types.Environment{Variables: map[string]string{"AB": strings.Repeat("x", 5000)}}
			}, "InvalidParameterValueException", "Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit."},
			{"name", func(in *lambda.CreateFunctionInput) { in.FunctionName = aws.String("not a name") }, "ValidationException", "at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: "},
			{"code in S3", func(in *lambda.CreateFunctionInput) {
				in.Code = &types.FunctionCode{S3Bucket: aws.String("bucket"), S3Key: aws.String("key")}
			}, "", ""},
		} {
			t.Run(tc.name, func(t *testing.T) {
				in := s.input(t, "create-error", node(one))
				tc.change(in)
				_, err := s.lambda().CreateFunction(t.Context(), in)
				if tc.code == "" {
					if err == nil {
						t.Error("it is accepted")
					}
					return
				}
				wantError(t, err, tc.code, tc.text)
			})
		}
		if _, err := os.Stat("/etc/slipped"); err == nil {
			t.Error("a package wrote outside its folder")
		}
		_, err := s.lambda().GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("create-error")})
		wantError(t, err, "ResourceNotFoundException", "")
	})
}
