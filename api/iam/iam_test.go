package iam_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"mayfly/api/awswire"
	"mayfly/api/awswire/wiretest"
	"mayfly/api/iam"
	"mayfly/identity"
	"mayfly/store/sqlite"
)

const (
	account = "123456789012"
	trust   = `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}`
	allow   = `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]}`
	basic   = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
)

var start = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func newService(t *testing.T) *iam.Service {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	id, err := identity.Open(t.Context(), identity.Options{DB: db, MasterKey: bytes.Repeat([]byte{1}, 32), Now: func() time.Time { return start }})
	if err != nil {
		t.Fatal(err)
	}
	return iam.New(iam.Options{Identity: id})
}

// newServer starts the service behind a router and returns its address and a client of account 123456789012.
func newServer(t *testing.T) (string, *sdk.Client) {
	t.Helper()
	router := awswire.NewRouter(awswire.RouterOptions{Services: []awswire.ServiceHandler{newService(t)}, NewRequestID: func() string { return "11111111-2222-4333-8444-555555555555" }})
	srv := httptest.NewServer(router)
	t.Cleanup(srv.Close)
	return srv.URL, sdk.New(sdk.Options{BaseEndpoint: &srv.URL, Region: "eu-west-1", RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(account, "secret", "")})
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantError(t *testing.T, err error, status int, code, text string) {
	t.Helper()
	var api smithy.APIError
	var res *smithyhttp.ResponseError
	if !errors.As(err, &api) || !errors.As(err, &res) || api.ErrorCode() != code || res.HTTPStatusCode() != status || !strings.Contains(api.ErrorMessage(), text) {
		t.Fatalf("got %v, want %d %s %q", err, status, code, text)
	}
}

func createRole(t *testing.T, c *sdk.Client, name string) *types.Role {
	t.Helper()
	out := must[*sdk.CreateRoleOutput](t)(c.CreateRole(t.Context(), &sdk.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(trust)}))
	return out.Role
}

// sameDocument compares a document of an answer, which is percent-encoded, with what was sent.
func sameDocument(t *testing.T, got *string, want string) {
	t.Helper()
	text, err := url.PathUnescape(aws.ToString(got))
	if err != nil || text != want || strings.ContainsAny(*got, ` "{+`) || !json.Valid([]byte(text)) {
		t.Errorf("got document %q, %v", aws.ToString(got), err)
	}
}

func TestRoleLifecycle(t *testing.T) {
	ctx := t.Context()
	_, c := newServer(t)
	made := must[*sdk.CreateRoleOutput](t)(c.CreateRole(ctx, &sdk.CreateRoleInput{
		RoleName: aws.String("worker"), Path: aws.String("/team/"), Description: aws.String("does <work> & more"), AssumeRolePolicyDocument: aws.String(trust),
		MaxSessionDuration: aws.Int32(7200), PermissionsBoundary: aws.String(basic), Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}, {Key: aws.String("a"), Value: aws.String("")}},
	})).Role
	if *made.Arn != "arn:aws:iam::"+account+":role/team/worker" || !strings.HasPrefix(*made.RoleId, "AROA") || !made.CreateDate.Equal(start) {
		t.Errorf("made %+v", made)
	}
	sameDocument(t, made.AssumeRolePolicyDocument, trust)
	got := must[*sdk.GetRoleOutput](t)(c.GetRole(ctx, &sdk.GetRoleInput{RoleName: aws.String("worker")})).Role
	if *got.Description != "does <work> & more" || *got.MaxSessionDuration != 7200 || *got.PermissionsBoundary.PermissionsBoundaryArn != basic || got.RoleLastUsed == nil || len(got.Tags) != 2 || *got.Tags[0].Key != "a" {
		t.Errorf("got %+v", got)
	}
	_, err := c.CreateRole(ctx, &sdk.CreateRoleInput{RoleName: aws.String("Worker"), AssumeRolePolicyDocument: aws.String(trust)})
	wantError(t, err, 409, "EntityAlreadyExists", "Role with name Worker already exists.")
	var exists *types.EntityAlreadyExistsException
	if !errors.As(err, &exists) {
		t.Errorf("the SDK does not know the error: %v", err)
	}

	must[*sdk.UpdateRoleOutput](t)(c.UpdateRole(ctx, &sdk.UpdateRoleInput{RoleName: aws.String("worker"), MaxSessionDuration: aws.Int32(3600)}))
	if d := must[*sdk.UpdateRoleDescriptionOutput](t)(c.UpdateRoleDescription(ctx, &sdk.UpdateRoleDescriptionInput{RoleName: aws.String("worker"), Description: aws.String("new")})); *d.Role.Description != "new" {
		t.Errorf("got %+v", d.Role)
	}
	other := strings.Replace(trust, "lambda", "scheduler", 1)
	must[*sdk.UpdateAssumeRolePolicyOutput](t)(c.UpdateAssumeRolePolicy(ctx, &sdk.UpdateAssumeRolePolicyInput{RoleName: aws.String("worker"), PolicyDocument: &other}))
	must[*sdk.DeleteRolePermissionsBoundaryOutput](t)(c.DeleteRolePermissionsBoundary(ctx, &sdk.DeleteRolePermissionsBoundaryInput{RoleName: aws.String("worker")}))
	got = must[*sdk.GetRoleOutput](t)(c.GetRole(ctx, &sdk.GetRoleInput{RoleName: aws.String("worker")})).Role
	if *got.MaxSessionDuration != 3600 || *got.Description != "new" || got.PermissionsBoundary != nil {
		t.Errorf("got %+v", got)
	}
	sameDocument(t, got.AssumeRolePolicyDocument, other)
	must[*sdk.PutRolePermissionsBoundaryOutput](t)(c.PutRolePermissionsBoundary(ctx, &sdk.PutRolePermissionsBoundaryInput{RoleName: aws.String("worker"), PermissionsBoundary: aws.String(basic)}))

	must[*sdk.TagRoleOutput](t)(c.TagRole(ctx, &sdk.TagRoleInput{RoleName: aws.String("worker"), Tags: []types.Tag{{Key: aws.String("z"), Value: aws.String("1")}}}))
	must[*sdk.UntagRoleOutput](t)(c.UntagRole(ctx, &sdk.UntagRoleInput{RoleName: aws.String("worker"), TagKeys: []string{"a"}}))
	tags := must[*sdk.ListRoleTagsOutput](t)(c.ListRoleTags(ctx, &sdk.ListRoleTagsInput{RoleName: aws.String("worker"), MaxItems: aws.Int32(1)}))
	if len(tags.Tags) != 1 || *tags.Tags[0].Key != "k" || !tags.IsTruncated {
		t.Errorf("got %+v", tags)
	}
	tags = must[*sdk.ListRoleTagsOutput](t)(c.ListRoleTags(ctx, &sdk.ListRoleTagsInput{RoleName: aws.String("worker"), Marker: tags.Marker}))
	if len(tags.Tags) != 1 || *tags.Tags[0].Key != "z" || tags.IsTruncated || tags.Marker != nil {
		t.Errorf("got %+v", tags)
	}
	_, err = c.TagRole(ctx, &sdk.TagRoleInput{RoleName: aws.String("worker"), Tags: []types.Tag{{Key: aws.String("x"), Value: aws.String("1")}, {Key: aws.String("X"), Value: aws.String("2")}}})
	wantError(t, err, 400, "InvalidInput", "Duplicate tag keys found.")

	if p := must[*sdk.ListInstanceProfilesForRoleOutput](t)(c.ListInstanceProfilesForRole(ctx, &sdk.ListInstanceProfilesForRoleInput{RoleName: aws.String("worker")})); len(p.InstanceProfiles) != 0 || p.IsTruncated {
		t.Errorf("got %+v", p)
	}
	must[*sdk.DeleteRoleOutput](t)(c.DeleteRole(ctx, &sdk.DeleteRoleInput{RoleName: aws.String("worker")}))
	_, err = c.GetRole(ctx, &sdk.GetRoleInput{RoleName: aws.String("worker")})
	wantError(t, err, 404, "NoSuchEntity", "The role with name worker cannot be found.")
	var missing *types.NoSuchEntityException
	if !errors.As(err, &missing) {
		t.Errorf("the SDK does not know the error: %v", err)
	}
	waiter := sdk.NewRoleExistsWaiter(c)
	createRole(t, c, "waited")
	if err := waiter.Wait(ctx, &sdk.GetRoleInput{RoleName: aws.String("waited")}, time.Second); err != nil {
		t.Error(err)
	}
}

func TestListRolesPages(t *testing.T) {
	_, c := newServer(t)
	for i := range 7 {
		createRole(t, c, fmt.Sprintf("r%d", i))
	}
	must[*sdk.CreateRoleOutput](t)(c.CreateRole(t.Context(), &sdk.CreateRoleInput{RoleName: aws.String("other"), Path: aws.String("/x/"), AssumeRolePolicyDocument: aws.String(trust)}))
	var names []string
	pages := 0
	for p := sdk.NewListRolesPaginator(c, &sdk.ListRolesInput{MaxItems: aws.Int32(3)}); p.HasMorePages(); pages++ {
		for _, r := range must[*sdk.ListRolesOutput](t)(p.NextPage(t.Context())).Roles {
			names = append(names, *r.RoleName)
			sameDocument(t, r.AssumeRolePolicyDocument, trust)
		}
	}
	if got := strings.Join(names, " "); got != "other r0 r1 r2 r3 r4 r5 r6" || pages != 3 {
		t.Errorf("got %s in %d pages", got, pages)
	}
	if out := must[*sdk.ListRolesOutput](t)(c.ListRoles(t.Context(), &sdk.ListRolesInput{PathPrefix: aws.String("/x/")})); len(out.Roles) != 1 || out.IsTruncated {
		t.Errorf("got %+v", out)
	}
	_, err := c.ListRoles(t.Context(), &sdk.ListRolesInput{Marker: aws.String("***")})
	wantError(t, err, 400, "ValidationError", "Invalid Marker.")
	_, err = c.ListRoles(t.Context(), &sdk.ListRolesInput{MaxItems: aws.Int32(1001)})
	wantError(t, err, 400, "ValidationError", "1 validation error detected")
}

func TestRolePolicies(t *testing.T) {
	ctx := t.Context()
	_, c := newServer(t)
	createRole(t, c, "r")
	role := aws.String("r")
	must[*sdk.PutRolePolicyOutput](t)(c.PutRolePolicy(ctx, &sdk.PutRolePolicyInput{RoleName: role, PolicyName: aws.String("inline"), PolicyDocument: aws.String(allow)}))
	got := must[*sdk.GetRolePolicyOutput](t)(c.GetRolePolicy(ctx, &sdk.GetRolePolicyInput{RoleName: role, PolicyName: aws.String("inline")}))
	sameDocument(t, got.PolicyDocument, allow)
	if *got.RoleName != "r" || *got.PolicyName != "inline" {
		t.Errorf("got %+v", got)
	}
	if l := must[*sdk.ListRolePoliciesOutput](t)(c.ListRolePolicies(ctx, &sdk.ListRolePoliciesInput{RoleName: role})); len(l.PolicyNames) != 1 || l.PolicyNames[0] != "inline" || l.IsTruncated {
		t.Errorf("got %+v", l)
	}
	_, err := c.PutRolePolicy(ctx, &sdk.PutRolePolicyInput{RoleName: role, PolicyName: aws.String("bad"), PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*"}]}`)})
	wantError(t, err, 400, "MalformedPolicyDocument", "Policy statement must contain resources.")
	var bad *types.MalformedPolicyDocumentException
	if !errors.As(err, &bad) {
		t.Errorf("the SDK does not know the error: %v", err)
	}
	_, err = c.GetRolePolicy(ctx, &sdk.GetRolePolicyInput{RoleName: role, PolicyName: aws.String("bad")})
	wantError(t, err, 404, "NoSuchEntity", "The role policy with name bad cannot be found.")

	must[*sdk.AttachRolePolicyOutput](t)(c.AttachRolePolicy(ctx, &sdk.AttachRolePolicyInput{RoleName: role, PolicyArn: aws.String(basic)}))
	l := must[*sdk.ListAttachedRolePoliciesOutput](t)(c.ListAttachedRolePolicies(ctx, &sdk.ListAttachedRolePoliciesInput{RoleName: role}))
	if len(l.AttachedPolicies) != 1 || *l.AttachedPolicies[0].PolicyArn != basic || *l.AttachedPolicies[0].PolicyName != "AWSLambdaBasicExecutionRole" {
		t.Errorf("got %+v", l.AttachedPolicies)
	}
	if l := must[*sdk.ListAttachedRolePoliciesOutput](t)(c.ListAttachedRolePolicies(ctx, &sdk.ListAttachedRolePoliciesInput{RoleName: role, PathPrefix: aws.String("/other/")})); len(l.AttachedPolicies) != 0 {
		t.Errorf("got %+v", l.AttachedPolicies)
	}
	_, err = c.AttachRolePolicy(ctx, &sdk.AttachRolePolicyInput{RoleName: role, PolicyArn: aws.String("arn:aws:iam::" + account + ":policy/none")})
	wantError(t, err, 404, "NoSuchEntity", "does not exist or is not attachable.")
	_, err = c.DeleteRole(ctx, &sdk.DeleteRoleInput{RoleName: role})
	wantError(t, err, 409, "DeleteConflict", "must detach all policies first")
	must[*sdk.DetachRolePolicyOutput](t)(c.DetachRolePolicy(ctx, &sdk.DetachRolePolicyInput{RoleName: role, PolicyArn: aws.String(basic)}))
	_, err = c.DeleteRole(ctx, &sdk.DeleteRoleInput{RoleName: role})
	wantError(t, err, 409, "DeleteConflict", "must delete policies first")
	must[*sdk.DeleteRolePolicyOutput](t)(c.DeleteRolePolicy(ctx, &sdk.DeleteRolePolicyInput{RoleName: role, PolicyName: aws.String("inline")}))
	must[*sdk.DeleteRoleOutput](t)(c.DeleteRole(ctx, &sdk.DeleteRoleInput{RoleName: role}))
}

func TestManagedPolicies(t *testing.T) {
	ctx := t.Context()
	_, c := newServer(t)
	made := must[*sdk.CreatePolicyOutput](t)(c.CreatePolicy(ctx, &sdk.CreatePolicyInput{PolicyName: aws.String("p"), Description: aws.String("d"), PolicyDocument: aws.String(allow)})).Policy
	arn := made.Arn
	if *arn != "arn:aws:iam::"+account+":policy/p" || *made.DefaultVersionId != "v1" || *made.AttachmentCount != 0 || !made.IsAttachable || *made.Path != "/" {
		t.Errorf("made %+v", made)
	}
	if got := must[*sdk.GetPolicyOutput](t)(c.GetPolicy(ctx, &sdk.GetPolicyInput{PolicyArn: arn})).Policy; *got.Description != "d" || *got.PolicyId != *made.PolicyId {
		t.Errorf("got %+v", got)
	}
	_, err := c.CreatePolicy(ctx, &sdk.CreatePolicyInput{PolicyName: aws.String("p"), PolicyDocument: aws.String(allow)})
	wantError(t, err, 409, "EntityAlreadyExists", "A policy called p already exists. Duplicate names are not allowed.")

	deny := strings.Replace(allow, "Allow", "Deny", 1)
	v2 := must[*sdk.CreatePolicyVersionOutput](t)(c.CreatePolicyVersion(ctx, &sdk.CreatePolicyVersionInput{PolicyArn: arn, PolicyDocument: &deny, SetAsDefault: true})).PolicyVersion
	if *v2.VersionId != "v2" || !v2.IsDefaultVersion {
		t.Errorf("got %+v", v2)
	}
	got := must[*sdk.GetPolicyVersionOutput](t)(c.GetPolicyVersion(ctx, &sdk.GetPolicyVersionInput{PolicyArn: arn, VersionId: aws.String("v1")})).PolicyVersion
	sameDocument(t, got.Document, allow)
	if got.IsDefaultVersion {
		t.Error("v1 is still the default")
	}
	var versions []string
	for p := sdk.NewListPolicyVersionsPaginator(c, &sdk.ListPolicyVersionsInput{PolicyArn: arn, MaxItems: aws.Int32(1)}); p.HasMorePages(); {
		for _, v := range must[*sdk.ListPolicyVersionsOutput](t)(p.NextPage(ctx)).Versions {
			versions = append(versions, *v.VersionId)
		}
	}
	if strings.Join(versions, " ") != "v2 v1" {
		t.Errorf("versions %v", versions)
	}
	_, err = c.DeletePolicy(ctx, &sdk.DeletePolicyInput{PolicyArn: arn})
	wantError(t, err, 409, "DeleteConflict", "more than one version")
	_, err = c.DeletePolicyVersion(ctx, &sdk.DeletePolicyVersionInput{PolicyArn: arn, VersionId: aws.String("v2")})
	wantError(t, err, 409, "DeleteConflict", "default version")
	must[*sdk.SetDefaultPolicyVersionOutput](t)(c.SetDefaultPolicyVersion(ctx, &sdk.SetDefaultPolicyVersionInput{PolicyArn: arn, VersionId: aws.String("v1")}))
	must[*sdk.DeletePolicyVersionOutput](t)(c.DeletePolicyVersion(ctx, &sdk.DeletePolicyVersionInput{PolicyArn: arn, VersionId: aws.String("v2")}))
	_, err = c.GetPolicyVersion(ctx, &sdk.GetPolicyVersionInput{PolicyArn: arn, VersionId: aws.String("v2")})
	wantError(t, err, 404, "NoSuchEntity", "version v2 does not exist")

	createRole(t, c, "r")
	must[*sdk.AttachRolePolicyOutput](t)(c.AttachRolePolicy(ctx, &sdk.AttachRolePolicyInput{RoleName: aws.String("r"), PolicyArn: arn}))
	for scope, want := range map[types.PolicyScopeType]int{types.PolicyScopeTypeAll: 1, types.PolicyScopeTypeLocal: 1, types.PolicyScopeTypeAws: 0} {
		if l := must[*sdk.ListPoliciesOutput](t)(c.ListPolicies(ctx, &sdk.ListPoliciesInput{Scope: scope, OnlyAttached: true})); len(l.Policies) != want {
			t.Errorf("%s: %+v", scope, l.Policies)
		}
	}
	_, err = c.DeletePolicy(ctx, &sdk.DeletePolicyInput{PolicyArn: arn})
	wantError(t, err, 409, "DeleteConflict", "attached to entities")
	must[*sdk.DetachRolePolicyOutput](t)(c.DetachRolePolicy(ctx, &sdk.DetachRolePolicyInput{RoleName: aws.String("r"), PolicyArn: arn}))
	must[*sdk.DeletePolicyOutput](t)(c.DeletePolicy(ctx, &sdk.DeletePolicyInput{PolicyArn: arn}))
	_, err = c.GetPolicy(ctx, &sdk.GetPolicyInput{PolicyArn: arn})
	wantError(t, err, 404, "NoSuchEntity", "was not found.")
}

func TestValidationAndNotImplemented(t *testing.T) {
	ctx := t.Context()
	_, c := newServer(t)
	_, err := c.CreateRole(ctx, &sdk.CreateRoleInput{RoleName: aws.String("no spaces"), AssumeRolePolicyDocument: aws.String(trust)})
	wantError(t, err, 400, "ValidationError", "1 validation error detected: Value 'no spaces' at 'roleName' failed to satisfy constraint")
	_, err = c.CreateRole(ctx, &sdk.CreateRoleInput{RoleName: aws.String("r"), AssumeRolePolicyDocument: aws.String("{")})
	wantError(t, err, 400, "MalformedPolicyDocument", "This policy contains invalid Json")
	_, err = c.CreateUser(ctx, &sdk.CreateUserInput{UserName: aws.String("u")})
	wantError(t, err, 501, "NotImplemented", "Mayfly does not implement iam:CreateUser yet")
}

// TestWire checks whole answers as bytes, for clients that are pickier than Go's.
func TestWire(t *testing.T) {
	base, c := newServer(t)
	post := func(form string) (int, string) {
		t.Helper()
		r, err := http.NewRequest("POST", base+"/", strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+account+"/20260304/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0")
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil || res.Header.Get("Content-Type") != "text/xml" || res.Header.Get("X-Amzn-Requestid") == "" {
			t.Fatal(err, res.Header)
		}
		return res.StatusCode, string(b)
	}
	role := createRole(t, c, "r")
	for _, tc := range []struct {
		form   string
		status int
		want   string
	}{
		{"Action=ListRoles&Version=2010-05-08", 200, `<ListRolesResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ListRolesResult><IsTruncated>false</IsTruncated><Roles><member><Arn>arn:aws:iam::123456789012:role/r</Arn><AssumeRolePolicyDocument>` +
			strings.ReplaceAll(url.QueryEscape(trust), "+", "%20") + `</AssumeRolePolicyDocument><CreateDate>2026-03-04T05:06:07Z</CreateDate><MaxSessionDuration>3600</MaxSessionDuration><Path>/</Path><RoleId>` + *role.RoleId +
			`</RoleId><RoleName>r</RoleName></member></Roles></ListRolesResult><ResponseMetadata><RequestId>11111111-2222-4333-8444-555555555555</RequestId></ResponseMetadata></ListRolesResponse>`},
		{"Action=DeleteRole&Version=2010-05-08&RoleName=x", 404, `<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>The role with name x cannot be found.</Message></Error><RequestId>11111111-2222-4333-8444-555555555555</RequestId></ErrorResponse>`},
		{"Action=DeleteRole&Version=2010-05-08&RoleName=r", 200, `<DeleteRoleResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ResponseMetadata><RequestId>11111111-2222-4333-8444-555555555555</RequestId></ResponseMetadata></DeleteRoleResponse>`},
		{"Action=ListRoles&Version=2010-05-08", 200, `<ListRolesResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ListRolesResult><IsTruncated>false</IsTruncated><Roles></Roles></ListRolesResult><ResponseMetadata><RequestId>11111111-2222-4333-8444-555555555555</RequestId></ResponseMetadata></ListRolesResponse>`},
	} {
		if status, got := post(tc.form); status != tc.status || got != tc.want {
			t.Errorf("%s: %d\n%s\nwant\n%s", tc.form, status, got, tc.want)
		}
	}
}

func TestCompatibilityPage(t *testing.T) {
	wiretest.Compatibility(t, "../../docs/compatibility.md", newService(t).Endpoint)
}
