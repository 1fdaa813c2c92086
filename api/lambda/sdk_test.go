package lambda_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"

	"mayfly/api/lambda"
	"mayfly/blob/disk"
	"mayfly/function"
	"mayfly/store/sqlite"
)

const roleARN = "arn:aws:iam::123456789012:role/r"

func newClient(t *testing.T, h http.Handler) *sdk.Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return sdk.New(sdk.Options{
		BaseEndpoint: &srv.URL, Region: "eu-west-1", RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("123456789012", "secret", ""),
	})
}

func newRegistry(t *testing.T) *function.Registry {
	t.Helper()
	dir := t.TempDir()
	db, err := sqlite.Open(t.Context(), dir+"/db", sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	blobs, err := disk.Open(dir + "/blobs")
	if err != nil {
		t.Fatal(err)
	}
	r, err := function.Open(t.Context(), function.Options{DB: db, Blobs: blobs, CodeDir: dir + "/code"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// TestSDK drives the operations with Amazon's own client, over the fake and over the real registry.
func TestSDK(t *testing.T) {
	for name, functions := range map[string]func(*testing.T) lambda.Functions{
		"fake":     func(*testing.T) lambda.Functions { return newFake() },
		"registry": func(t *testing.T) lambda.Functions { return newRegistry(t) },
	} {
		t.Run(name, func(t *testing.T) { lifeOfAFunction(t, newServer(functions(t))) })
	}
}

func lifeOfAFunction(t *testing.T, s *server) {
	ctx := t.Context()
	c := newClient(t, s)
	f := aws.String("f")
	zip1, zip2 := newZip(t, "one"), newZip(t, "two")

	created, err := c.CreateFunction(ctx, &sdk.CreateFunctionInput{FunctionName: f, Role: aws.String(roleARN), Runtime: types.RuntimeNodejs22x,
		Handler: aws.String("index.handler"), Code: &types.FunctionCode{ZipFile: zip1}, Tags: map[string]string{"k": "v", lambda.EgressTag: "none"},
		Environment: &types.Environment{Variables: map[string]string{"KEY": "value"}}})
	check(t, err)
	if created.State != types.StatePending || *created.FunctionArn != "arn:aws:lambda:eu-west-1:123456789012:function:f" {
		t.Errorf("created %s in state %s", *created.FunctionArn, created.State)
	}
	check(t, sdk.NewFunctionActiveV2Waiter(c, fast[sdk.FunctionActiveV2WaiterOptions]).Wait(ctx, &sdk.GetFunctionInput{FunctionName: f}, time.Minute))

	_, err = c.CreateFunction(ctx, &sdk.CreateFunctionInput{FunctionName: f, Role: aws.String(roleARN), Runtime: types.RuntimeNodejs22x,
		Handler: aws.String("index.handler"), Code: &types.FunctionCode{ZipFile: zip1}})
	wantError[*types.ResourceConflictException](t, err, "Function already exist: f")

	got, err := c.GetFunction(ctx, &sdk.GetFunctionInput{FunctionName: created.FunctionArn})
	check(t, err)
	if got.Tags["k"] != "v" || got.Configuration.Environment.Variables["KEY"] != "value" || got.Configuration.LastUpdateStatus != types.LastUpdateStatusSuccessful {
		t.Errorf("GetFunction: %+v", got)
	}
	if code := download(t, *got.Code.Location); !bytes.Equal(code, zip1) {
		t.Errorf("Code.Location gave %d bytes, want the package of %d", len(code), len(zip1))
	}

	updated, err := c.UpdateFunctionConfiguration(ctx, &sdk.UpdateFunctionConfigurationInput{FunctionName: f, Timeout: aws.Int32(7),
		RevisionId: got.Configuration.RevisionId})
	check(t, err)
	if *updated.Timeout != 7 || *updated.RevisionId == *got.Configuration.RevisionId || updated.LastUpdateStatus != types.LastUpdateStatusInProgress {
		t.Errorf("UpdateFunctionConfiguration: timeout %d, revision %s, %s", *updated.Timeout, *updated.RevisionId, updated.LastUpdateStatus)
	}
	updatedV2 := sdk.NewFunctionUpdatedV2Waiter(c, fast[sdk.FunctionUpdatedV2WaiterOptions])
	check(t, updatedV2.Wait(ctx, &sdk.GetFunctionInput{FunctionName: f}, time.Minute))
	_, err = c.UpdateFunctionConfiguration(ctx, &sdk.UpdateFunctionConfigurationInput{FunctionName: f, Timeout: aws.Int32(8), RevisionId: got.Configuration.RevisionId})
	wantError[*types.PreconditionFailedException](t, err, "latest Revision")

	recoded, err := c.UpdateFunctionCode(ctx, &sdk.UpdateFunctionCodeInput{FunctionName: f, ZipFile: zip2})
	check(t, err)
	if *recoded.CodeSha256 == *created.CodeSha256 {
		t.Error("UpdateFunctionCode left CodeSha256 as it was")
	}
	check(t, updatedV2.Wait(ctx, &sdk.GetFunctionInput{FunctionName: f}, time.Minute))

	invokeAll(t, c, s.invoker)

	all, err := c.ListFunctions(ctx, &sdk.ListFunctionsInput{})
	check(t, err)
	if len(all.Functions) != 1 || *all.Functions[0].FunctionName != "f" || all.NextMarker != nil {
		t.Errorf("ListFunctions: %+v", all)
	}
	urls(t, c)
	tags(t, c, created.FunctionArn)

	account, err := c.GetAccountSettings(ctx, &sdk.GetAccountSettingsInput{})
	check(t, err)
	if account.AccountUsage.FunctionCount != 1 || account.AccountUsage.TotalCodeSize < int64(len(zip2)) || account.AccountLimit.ConcurrentExecutions != 1000 {
		t.Errorf("GetAccountSettings: %+v %+v", account.AccountUsage, account.AccountLimit)
	}
	_, err = c.PublishLayerVersion(ctx, &sdk.PublishLayerVersionInput{LayerName: aws.String("l"), Content: &types.LayerVersionContentInput{ZipFile: zip1}})
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != "NotImplementedException" || !strings.Contains(api.ErrorMessage(), "lambda:PublishLayerVersion") {
		t.Errorf("PublishLayerVersion: %v", err)
	}
	_, err = c.DeleteFunction(ctx, &sdk.DeleteFunctionInput{FunctionName: f})
	check(t, err)
	_, err = c.GetFunctionConfiguration(ctx, &sdk.GetFunctionConfigurationInput{FunctionName: f})
	wantError[*types.ResourceNotFoundException](t, err, "Function not found: arn:aws:lambda:eu-west-1:123456789012:function:f")
}

func invokeAll(t *testing.T, c *sdk.Client, e *echo) {
	t.Helper()
	ctx, f := t.Context(), aws.String("f")
	out, err := c.Invoke(ctx, &sdk.InvokeInput{FunctionName: f, Payload: []byte(`{"a":1}`), LogType: types.LogTypeTail, ClientContext: aws.String("eyJhIjoxfQ==")})
	check(t, err)
	if string(out.Payload) != `{"a":1}` || out.StatusCode != 200 || *out.ExecutedVersion != "$LATEST" || aws.ToString(out.LogResult) == "" || out.FunctionError != nil {
		t.Errorf("Invoke: %s %+v", out.Payload, out)
	}
	if e.last.ClientCtx != `{"a":1}` || e.last.InvokedARN != "arn:aws:lambda:eu-west-1:123456789012:function:f" || e.last.Version.Egress != "none" {
		t.Errorf("the invoker was given %+v", e.last)
	}
	out, err = c.Invoke(ctx, &sdk.InvokeInput{FunctionName: f, Payload: []byte(`"fail"`)})
	check(t, err)
	if aws.ToString(out.FunctionError) != "Unhandled" || !strings.Contains(string(out.Payload), "boom") {
		t.Errorf("a failing function: %s %+v", out.Payload, out)
	}
	out, err = c.Invoke(ctx, &sdk.InvokeInput{FunctionName: f, InvocationType: types.InvocationTypeDryRun})
	check(t, err)
	if out.StatusCode != 204 {
		t.Errorf("DryRun answered %d", out.StatusCode)
	}
	_, err = c.Invoke(ctx, &sdk.InvokeInput{FunctionName: f, Payload: []byte(`"throttle"`)})
	throttled := wantError[*types.TooManyRequestsException](t, err, "Rate Exceeded.")
	if throttled.Reason != types.ThrottleReasonConcurrentInvocationLimitExceeded {
		t.Errorf("throttled for %q", throttled.Reason)
	}
	_, err = c.Invoke(ctx, &sdk.InvokeInput{FunctionName: f, Payload: []byte(`{`)})
	wantError[*types.InvalidRequestContentException](t, err, "Could not parse request body into json")
	_, err = c.Invoke(ctx, &sdk.InvokeInput{FunctionName: f, Payload: []byte(`"` + strings.Repeat("x", 6<<20) + `"`)})
	// Not the RequestTooLargeException of the model.
	if e := wantError[smithy.APIError](t, err, "Request must be smaller than 6291456 bytes for the InvokeFunction operation"); e.ErrorCode() != "RequestEntityTooLargeException" {
		t.Errorf("more than 6 MB: %s", e.ErrorCode())
	}
}

func urls(t *testing.T, c *sdk.Client) {
	t.Helper()
	ctx, f := t.Context(), aws.String("f")
	made, err := c.CreateFunctionUrlConfig(ctx, &sdk.CreateFunctionUrlConfigInput{FunctionName: f, AuthType: types.FunctionUrlAuthTypeNone,
		Cors: &types.Cors{AllowOrigins: []string{"*"}, MaxAge: aws.Int32(60)}})
	check(t, err)
	if !strings.HasPrefix(*made.FunctionUrl, "http://") || made.InvokeMode != types.InvokeModeBuffered {
		t.Errorf("CreateFunctionUrlConfig: %+v", made)
	}
	_, err = c.CreateFunctionUrlConfig(ctx, &sdk.CreateFunctionUrlConfigInput{FunctionName: f, AuthType: types.FunctionUrlAuthTypeNone})
	wantError[*types.ResourceConflictException](t, err, "FunctionUrlConfig exists for this Lambda function")
	changed, err := c.UpdateFunctionUrlConfig(ctx, &sdk.UpdateFunctionUrlConfigInput{FunctionName: f, AuthType: types.FunctionUrlAuthTypeAwsIam})
	check(t, err)
	got, err := c.GetFunctionUrlConfig(ctx, &sdk.GetFunctionUrlConfigInput{FunctionName: f})
	check(t, err)
	if changed.AuthType != types.FunctionUrlAuthTypeAwsIam || got.AuthType != types.FunctionUrlAuthTypeAwsIam || *got.FunctionUrl != *made.FunctionUrl || *got.Cors.MaxAge != 60 {
		t.Errorf("GetFunctionUrlConfig after an update: %+v", got)
	}
	listed, err := c.ListFunctionUrlConfigs(ctx, &sdk.ListFunctionUrlConfigsInput{FunctionName: f})
	check(t, err)
	if len(listed.FunctionUrlConfigs) != 1 {
		t.Errorf("ListFunctionUrlConfigs: %+v", listed)
	}
	_, err = c.DeleteFunctionUrlConfig(ctx, &sdk.DeleteFunctionUrlConfigInput{FunctionName: f})
	check(t, err)
	_, err = c.GetFunctionUrlConfig(ctx, &sdk.GetFunctionUrlConfigInput{FunctionName: f})
	wantError[*types.ResourceNotFoundException](t, err, "The resource you requested does not exist.")
}

func tags(t *testing.T, c *sdk.Client, arn *string) {
	t.Helper()
	ctx := t.Context()
	_, err := c.TagResource(ctx, &sdk.TagResourceInput{Resource: arn, Tags: map[string]string{"a/b": "ü", "c": ""}})
	check(t, err)
	_, err = c.UntagResource(ctx, &sdk.UntagResourceInput{Resource: arn, TagKeys: []string{"k", lambda.EgressTag}})
	check(t, err)
	got, err := c.ListTags(ctx, &sdk.ListTagsInput{Resource: arn})
	check(t, err)
	if len(got.Tags) != 2 || got.Tags["a/b"] != "ü" {
		t.Errorf("ListTags: %v", got.Tags)
	}
	out, err := c.GetFunction(ctx, &sdk.GetFunctionInput{FunctionName: aws.String("f")})
	check(t, err)
	if out.Tags["a/b"] != "ü" {
		t.Errorf("GetFunction's tags: %v", out.Tags)
	}
}

// fast makes waiters ask often.
func fast[O any](o *O) {
	switch o := any(o).(type) {
	case *sdk.FunctionActiveV2WaiterOptions:
		o.MinDelay, o.MaxDelay = time.Millisecond, 50*time.Millisecond
	case *sdk.FunctionUpdatedV2WaiterOptions:
		o.MinDelay, o.MaxDelay = time.Millisecond, 50*time.Millisecond
	}
}

func download(t *testing.T, url string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	check(t, err)
	resp, err := http.DefaultClient.Do(req)
	check(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	check(t, err)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s %s", url, resp.Status, b)
	}
	return b
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError[E error](t *testing.T, err error, text string) E {
	t.Helper()
	var e E
	if !errors.As(err, &e) || !strings.Contains(err.Error(), text) {
		t.Fatalf("got %v, want %T with %q", err, e, text)
	}
	return e
}
