package conformance

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

const allow = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`

// TestRoles walks through what deploy scripts do with roles.
func TestRoles(t *testing.T) {
	t.Parallel()
	s, ctx := shared(t), t.Context()
	c := s.iam()
	name := aws.String("walker")
	made, err := c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: aws.String(trust), Description: aws.String("d"), Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}})
	if err != nil {
		t.Fatal(err)
	}
	if aws.ToString(made.Role.Arn) != "arn:aws:iam::000000000000:role/walker" || !strings.HasPrefix(aws.ToString(made.Role.RoleId), "AROA") || aws.ToString(made.Role.Path) != "/" || made.Role.CreateDate == nil {
		t.Errorf("made %s", jsonText(made.Role))
	}
	if document, err := url.QueryUnescape(aws.ToString(made.Role.AssumeRolePolicyDocument)); err != nil || !json.Valid([]byte(document)) || !strings.Contains(document, "lambda.amazonaws.com") {
		t.Errorf("the document is %s", aws.ToString(made.Role.AssumeRolePolicyDocument))
	}
	_, err = c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: aws.String(trust)})
	wantError(t, err, "EntityAlreadyExists", "Role with name walker already exists.")
	wantStatus(t, err, 409)
	_, err = c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("bad"), AssumeRolePolicyDocument: aws.String("{")})
	wantError(t, err, "MalformedPolicyDocument", "")
	_, err = c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("bad name"), AssumeRolePolicyDocument: aws.String(trust)})
	wantError(t, err, "ValidationError", "")

	if got, err := c.GetRole(ctx, &iam.GetRoleInput{RoleName: name}); err != nil || aws.ToString(got.Role.RoleId) != aws.ToString(made.Role.RoleId) || len(got.Role.Tags) != 1 {
		t.Errorf("got %v %s", err, jsonText(got))
	}
	_, err = c.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("nobody")})
	wantError(t, err, "NoSuchEntity", "The role with name nobody cannot be found.")
	wantStatus(t, err, 404)
	found := false
	for pages := iam.NewListRolesPaginator(c, &iam.ListRolesInput{MaxItems: aws.Int32(1)}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Roles {
			found = found || aws.ToString(r.RoleName) == "walker"
		}
	}
	if !found {
		t.Error("the role is not listed")
	}
	changed := strings.Replace(trust, "lambda.amazonaws.com", "scheduler.amazonaws.com", 1)
	if _, err := c.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: name, PolicyDocument: &changed}); err != nil {
		t.Error(err)
	}
	if got, err := c.GetRole(ctx, &iam.GetRoleInput{RoleName: name}); err != nil || !strings.Contains(aws.ToString(got.Role.AssumeRolePolicyDocument), "scheduler.amazonaws.com") {
		t.Errorf("changed: %v %s", err, jsonText(got))
	}
	_, err = c.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: aws.String("nobody"), PolicyDocument: &changed})
	wantError(t, err, "NoSuchEntity", "")

	if _, err := c.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: name, PolicyName: aws.String("inline"), PolicyDocument: aws.String(allow)}); err != nil {
		t.Error(err)
	}
	_, err = c.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: name, PolicyName: aws.String("bad"), PolicyDocument: aws.String("no")})
	wantError(t, err, "MalformedPolicyDocument", "")
	managed, err := c.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("walkers"), PolicyDocument: aws.String(allow)})
	if err != nil || aws.ToString(managed.Policy.Arn) != "arn:aws:iam::000000000000:policy/walkers" || aws.ToString(managed.Policy.DefaultVersionId) != "v1" {
		t.Fatalf("policy: %v %s", err, jsonText(managed))
	}
	arn := managed.Policy.Arn
	_, err = c.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("walkers"), PolicyDocument: aws.String(allow)})
	wantError(t, err, "EntityAlreadyExists", "")
	for _, arn := range []string{*arn, "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"} {
		if _, err := c.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: name, PolicyArn: &arn}); err != nil {
			t.Errorf("attach %s: %v", arn, err)
		}
	}
	_, err = c.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: name, PolicyArn: aws.String("arn:aws:iam::000000000000:policy/nothing")})
	wantError(t, err, "NoSuchEntity", "")
	if got, err := c.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: arn}); err != nil || aws.ToInt32(got.Policy.AttachmentCount) != 1 {
		t.Errorf("policy: %v %s", err, jsonText(got))
	}
	_, err = c.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: aws.String("arn:aws:iam::000000000000:policy/nothing")})
	wantError(t, err, "NoSuchEntity", "")

	// Nothing goes while something hangs on it.
	_, err = c.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: name})
	wantError(t, err, "DeleteConflict", "")
	_, err = c.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: arn})
	wantError(t, err, "DeleteConflict", "")
	for _, arn := range []string{*arn, "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"} {
		if _, err := c.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: name, PolicyArn: &arn}); err != nil {
			t.Errorf("detach %s: %v", arn, err)
		}
	}
	_, err = c.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: name, PolicyArn: arn})
	wantError(t, err, "NoSuchEntity", "")
	_, err = c.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: name})
	wantError(t, err, "DeleteConflict", "")
	if _, err := c.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: name, PolicyName: aws.String("inline")}); err != nil {
		t.Error(err)
	}
	_, err = c.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: name, PolicyName: aws.String("inline")})
	wantError(t, err, "NoSuchEntity", "")
	if _, err := c.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: arn}); err != nil {
		t.Error(err)
	}
	_, err = c.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: arn})
	wantError(t, err, "NoSuchEntity", "")
	if _, err := c.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: name}); err != nil {
		t.Error(err)
	}
	_, err = c.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: name})
	wantError(t, err, "NoSuchEntity", "")
}

func TestRolesByTheCommand(t *testing.T) {
	t.Parallel()
	s := shared(t)
	if got := s.aws(t, "iam", "create-role", "--role-name", "cli", "--assume-role-policy-document", trust); got["Role"].(map[string]any)["Arn"] != "arn:aws:iam::000000000000:role/cli" {
		t.Errorf("made %v", got)
	}
	s.awsFails(t, "EntityAlreadyExists", "iam", "create-role", "--role-name", "cli", "--assume-role-policy-document", trust)
	if got := s.aws(t, "iam", "get-role", "--role-name", "cli"); got["Role"].(map[string]any)["AssumeRolePolicyDocument"].(map[string]any)["Version"] != "2012-10-17" {
		t.Errorf("got %v", got)
	}
	if got := s.aws(t, "iam", "list-roles"); len(got["Roles"].([]any)) < 1 {
		t.Errorf("listed %v", got)
	}
	s.aws(t, "iam", "update-assume-role-policy", "--role-name", "cli", "--policy-document", trust)
	s.aws(t, "iam", "put-role-policy", "--role-name", "cli", "--policy-name", "p", "--policy-document", allow)
	arn := s.aws(t, "iam", "create-policy", "--policy-name", "cli", "--policy-document", allow)["Policy"].(map[string]any)["Arn"].(string)
	s.aws(t, "iam", "attach-role-policy", "--role-name", "cli", "--policy-arn", arn)
	s.awsFails(t, "DeleteConflict", "iam", "delete-role", "--role-name", "cli")
	if got := s.aws(t, "iam", "get-policy", "--policy-arn", arn); got["Policy"].(map[string]any)["AttachmentCount"] != 1.0 {
		t.Errorf("got %v", got)
	}
	s.aws(t, "iam", "detach-role-policy", "--role-name", "cli", "--policy-arn", arn)
	s.aws(t, "iam", "delete-role-policy", "--role-name", "cli", "--policy-name", "p")
	s.aws(t, "iam", "delete-policy", "--policy-arn", arn)
	s.aws(t, "iam", "delete-role", "--role-name", "cli")
	s.awsFails(t, "NoSuchEntity", "iam", "get-role", "--role-name", "cli")
}
