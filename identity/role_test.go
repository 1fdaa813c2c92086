package identity_test

import (
	"context"
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"mayfly"
	"mayfly/identity"
	"mayfly/store/sqlite"
)

const (
	trust  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	allow  = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}`
	basic  = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
	denied = `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}`
)

func createRole(t *testing.T, s *identity.Service, name string) *identity.Role {
	t.Helper()
	r, err := s.CreateRole(context.Background(), identity.Role{Account: account, Name: name, Trust: trust})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRoles(t *testing.T) {
	ctx := context.Background()
	s, _ := open(t)
	made, err := s.CreateRole(ctx, identity.Role{Account: account, Name: "Worker", Path: "/team/", Description: "d", Trust: trust,
		MaxSession: 2 * time.Hour, Boundary: basic, Tags: map[string]string{"k": "v"}})
	if err != nil {
		t.Fatal(err)
	}
	if made.ARN() != "arn:aws:iam::"+account+":role/team/Worker" || !regexp.MustCompile(`^AROA[A-Z2-7]{17}$`).MatchString(made.ID) || !made.CreatedAt.Equal(start.Truncate(time.Second)) {
		t.Errorf("made %+v", made)
	}
	got, err := s.Role(ctx, account, "Worker")
	if err != nil || !reflect.DeepEqual(got, made) {
		t.Errorf("got %+v, %v, want %+v", got, err, made)
	}
	_, err = s.CreateRole(ctx, identity.Role{Account: account, Name: "wORKER", Trust: trust})
	wantError(t, err, mayfly.KindConflict, "EntityAlreadyExists", "Role with name wORKER already exists.")
	_, err = s.Role(ctx, account, "worker")
	wantError(t, err, mayfly.KindNotFound, "NoSuchEntity", "The role with name worker cannot be found.")
	_, err = s.Role(ctx, "999999999999", "Worker")
	wantError(t, err, mayfly.KindNotFound, "NoSuchEntity", "")
	_, err = s.CreateRole(ctx, identity.Role{Account: account, Name: "x", Trust: trust, Boundary: "arn:aws:iam::" + account + ":policy/none"})
	wantError(t, err, mayfly.KindNotFound, "NoSuchEntity", "does not exist or is not attachable")

	description, max := "new", 3*time.Hour
	if err := s.UpdateRole(ctx, account, "Worker", &description, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.UpdateRole(ctx, account, "Worker", nil, &max); err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(trust, "lambda", "edgelambda", 1)
	if err := s.UpdateTrust(ctx, account, "Worker", other); err != nil {
		t.Fatal(err)
	}
	if err := s.TagRole(ctx, account, "Worker", map[string]string{"a": "1", "k": "2"}); err != nil {
		t.Fatal(err)
	}
	if err := s.UntagRole(ctx, account, "Worker", []string{"a", "absent"}); err != nil {
		t.Fatal(err)
	}
	if err := s.SetBoundary(ctx, account, "Worker", ""); err != nil {
		t.Fatal(err)
	}
	wantError(t, s.SetBoundary(ctx, account, "Worker", ""), mayfly.KindNotFound, "NoSuchEntity", "no permissions boundary")
	want := *made
	want.Description, want.MaxSession, want.Trust, want.Tags, want.Boundary = description, max, other, map[string]string{"k": "2"}, ""
	if got, err = s.Role(ctx, account, "Worker"); err != nil || !reflect.DeepEqual(got, &want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	tags := map[string]string{}
	for i := range 51 {
		tags[fmt.Sprint(i)] = ""
	}
	wantError(t, s.TagRole(ctx, account, "Worker", tags), mayfly.KindQuota, "LimitExceeded", "TagsPerRole: 50")
	if got, err = s.Role(ctx, account, "Worker"); err != nil || len(got.Tags) != 1 {
		t.Errorf("a refused change left %d tags, %v", len(got.Tags), err)
	}

	if err := s.DeleteRole(ctx, account, "Worker"); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"delete": s.DeleteRole(ctx, account, "Worker"), "update": s.UpdateRole(ctx, account, "Worker", nil, nil),
		"trust": s.UpdateTrust(ctx, account, "Worker", trust), "tag": s.TagRole(ctx, account, "Worker", nil),
		"put": s.PutRolePolicy(ctx, account, "Worker", "p", allow), "attach": s.AttachRolePolicy(ctx, account, "Worker", basic),
		"detach": s.DetachRolePolicy(ctx, account, "Worker", basic), "drop": s.DeleteRolePolicy(ctx, account, "Worker", "p"),
	} {
		if mayfly.KindOf(err) != mayfly.KindNotFound {
			t.Errorf("%s of a role that is gone: %v", name, err)
		}
	}
}

func TestListRoles(t *testing.T) {
	ctx := context.Background()
	s, _ := open(t)
	for _, r := range []identity.Role{{Name: "b"}, {Name: "A"}, {Name: "c", Path: "/x/"}, {Name: "d", Path: "/x/y/"}, {Name: "e", Path: "/X/"}} {
		r.Account, r.Trust = account, trust
		if _, err := s.CreateRole(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	list := func(prefix, after string, limit int) (string, bool) {
		roles, more, err := s.Roles(ctx, account, prefix, after, limit)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, r := range roles {
			names = append(names, r.Name)
		}
		return strings.Join(names, " "), more
	}
	for _, tc := range []struct {
		prefix, after string
		limit         int
		want          string
		more          bool
	}{
		{"/", "", 100, "A b c d e", false},
		{"/", "", 5, "A b c d e", false},
		{"/", "", 2, "A b", true},
		{"/", "b", 2, "c d", true},
		{"/", "d", 2, "e", false},
		{"/x/", "", 100, "c d", false},
		{"/x/y/", "", 100, "d", false},
		{"/%", "", 100, "", false},
	} {
		if got, more := list(tc.prefix, tc.after, tc.limit); got != tc.want || more != tc.more {
			t.Errorf("%+v: got %q %v", tc, got, more)
		}
	}
}

func TestRolePolicies(t *testing.T) {
	ctx := context.Background()
	s, _ := open(t)
	createRole(t, s, "r")
	for _, p := range []string{"two", "one", "three", "one"} {
		if err := s.PutRolePolicy(ctx, account, "r", p, allow); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PutRolePolicy(ctx, account, "r", "one", denied); err != nil {
		t.Fatal(err)
	}
	if doc, err := s.RolePolicy(ctx, account, "r", "one"); err != nil || doc != denied {
		t.Errorf("got %s, %v", doc, err)
	}
	names, more, err := s.RolePolicies(ctx, account, "r", "", 2)
	if err != nil || !more || strings.Join(names, " ") != "one three" {
		t.Errorf("got %v %v %v", names, more, err)
	}
	names, more, err = s.RolePolicies(ctx, account, "r", "three", 2)
	if err != nil || more || strings.Join(names, " ") != "two" {
		t.Errorf("got %v %v %v", names, more, err)
	}
	_, err = s.RolePolicy(ctx, account, "r", "none")
	wantError(t, err, mayfly.KindNotFound, "NoSuchEntity", "The role policy with name none cannot be found.")
	wantError(t, s.PutRolePolicy(ctx, account, "r", "bad", "{"), mayfly.KindInvalid, "MalformedPolicyDocument", "Syntax errors in policy.")
	big := strings.Replace(allow, "s3:*", "s3:"+strings.Repeat("x", 10240), 1)
	wantError(t, s.PutRolePolicy(ctx, account, "r", "big", big), mayfly.KindQuota, "LimitExceeded", "Maximum policy size of 10240 bytes exceeded for role r")
	spaced := strings.Replace(allow, "{", "{"+strings.Repeat(" ", 10240), 1)
	if err := s.PutRolePolicy(ctx, account, "r", "spaced", spaced); err != nil {
		t.Errorf("white space counts: %v", err)
	}

	if err := s.AttachRolePolicy(ctx, account, "r", basic); err != nil {
		t.Fatal(err)
	}
	wantError(t, s.DeleteRole(ctx, account, "r"), mayfly.KindConflict, "DeleteConflict", "Cannot delete entity, must detach all policies first.")
	if err := s.DetachRolePolicy(ctx, account, "r", basic); err != nil {
		t.Fatal(err)
	}
	wantError(t, s.DeleteRole(ctx, account, "r"), mayfly.KindConflict, "DeleteConflict", "Cannot delete entity, must delete policies first.")
	for _, p := range []string{"one", "two", "three", "spaced"} {
		if err := s.DeleteRolePolicy(ctx, account, "r", p); err != nil {
			t.Fatal(err)
		}
	}
	wantError(t, s.DeleteRolePolicy(ctx, account, "r", "one"), mayfly.KindNotFound, "NoSuchEntity", "role policy with name one")
	if err := s.DeleteRole(ctx, account, "r"); err != nil {
		t.Fatal(err)
	}
}

func TestAttachments(t *testing.T) {
	ctx := context.Background()
	s, _ := open(t)
	createRole(t, s, "r")
	for i := range 2 {
		if err := s.AttachRolePolicy(ctx, account, "r", basic); err != nil {
			t.Fatalf("time %d: %v", i, err)
		}
	}
	arns, more, err := s.AttachedPolicies(ctx, account, "r", "", 10)
	if err != nil || more || len(arns) != 1 || arns[0] != basic {
		t.Errorf("got %v %v %v", arns, more, err)
	}
	missing := "arn:aws:iam::" + account + ":policy/none"
	wantError(t, s.AttachRolePolicy(ctx, account, "r", missing), mayfly.KindNotFound, "NoSuchEntity", "Policy "+missing+" does not exist or is not attachable.")
	wantError(t, s.AttachRolePolicy(ctx, account, "r", "junk"), mayfly.KindInvalid, "ValidationError", "ARN junk is not valid.")
	wantError(t, s.DetachRolePolicy(ctx, account, "r", missing), mayfly.KindNotFound, "NoSuchEntity", "Policy "+missing+" was not found.")
	for i := range 9 {
		if err := s.AttachRolePolicy(ctx, account, "r", fmt.Sprintf("arn:aws:iam::aws:policy/P%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	wantError(t, s.AttachRolePolicy(ctx, account, "r", "arn:aws:iam::aws:policy/P9"), mayfly.KindQuota, "LimitExceeded", "Cannot exceed quota for PoliciesPerRole: 10")
	if err := s.AttachRolePolicy(ctx, account, "r", basic); err != nil {
		t.Errorf("again at the quota: %v", err)
	}
}

func TestManagedPolicies(t *testing.T) {
	ctx := context.Background()
	s, c := open(t)
	p, err := s.CreatePolicy(ctx, identity.Policy{Account: account, Name: "Read", Path: "/app/", Description: "d", Tags: map[string]string{"k": "v"}}, allow)
	if err != nil {
		t.Fatal(err)
	}
	if p.ARN != "arn:aws:iam::"+account+":policy/app/Read" || !strings.HasPrefix(p.ID, "ANPA") || p.DefaultVersion != 1 {
		t.Errorf("made %+v", p)
	}
	if got, err := s.Policy(ctx, account, p.ARN); err != nil || !reflect.DeepEqual(got, p) {
		t.Errorf("got %+v, %v, want %+v", got, err, p)
	}
	_, err = s.CreatePolicy(ctx, identity.Policy{Account: account, Name: "READ"}, allow)
	wantError(t, err, mayfly.KindConflict, "EntityAlreadyExists", "A policy called READ already exists. Duplicate names are not allowed.")
	_, err = s.CreatePolicy(ctx, identity.Policy{Account: account, Name: "Big"}, strings.Replace(allow, "s3:*", "s3:"+strings.Repeat("x", 6144), 1))
	wantError(t, err, mayfly.KindQuota, "LimitExceeded", "Cannot exceed quota for PolicySize: 6144")
	_, err = s.Policy(ctx, account, "arn:aws:iam::"+account+":policy/Read")
	wantError(t, err, mayfly.KindNotFound, "NoSuchEntity", "was not found.")

	c.t = c.t.Add(time.Hour)
	for i := 2; i <= 5; i++ {
		v, err := s.CreatePolicyVersion(ctx, account, p.ARN, denied, i == 3)
		if err != nil || v.Version != i || v.Default != (i == 3) {
			t.Fatalf("version %d: %+v, %v", i, v, err)
		}
	}
	_, err = s.CreatePolicyVersion(ctx, account, p.ARN, denied, true)
	wantError(t, err, mayfly.KindQuota, "LimitExceeded", "up to 5 versions")
	got, err := s.Policy(ctx, account, p.ARN)
	if err != nil || got.DefaultVersion != 3 || !got.UpdatedAt.Equal(c.t.Truncate(time.Second)) || !got.CreatedAt.Equal(p.CreatedAt) {
		t.Errorf("got %+v, %v", got, err)
	}
	if v, err := s.PolicyVersion(ctx, account, p.ARN, 1); err != nil || v.Document != allow || v.Default {
		t.Errorf("got %+v, %v", v, err)
	}
	wantError(t, s.DeletePolicyVersion(ctx, account, p.ARN, 3), mayfly.KindConflict, "DeleteConflict", "Cannot delete the default version of a policy.")
	wantError(t, s.SetDefaultVersion(ctx, account, p.ARN, 9), mayfly.KindNotFound, "NoSuchEntity", "version v9 does not exist")
	if err := s.SetDefaultVersion(ctx, account, p.ARN, 5); err != nil {
		t.Fatal(err)
	}
	wantError(t, s.DeletePolicy(ctx, account, p.ARN), mayfly.KindConflict, "DeleteConflict", "more than one version")
	for _, v := range []int{1, 2, 3, 4} {
		if err := s.DeletePolicyVersion(ctx, account, p.ARN, v); err != nil {
			t.Fatal(err)
		}
	}
	if v, err := s.CreatePolicyVersion(ctx, account, p.ARN, allow, false); err != nil || v.Version != 6 {
		t.Errorf("version numbers are used again: %+v, %v", v, err)
	}
	if err := s.DeletePolicyVersion(ctx, account, p.ARN, 6); err != nil {
		t.Fatal(err)
	}

	createRole(t, s, "r")
	if err := s.AttachRolePolicy(ctx, account, "r", p.ARN); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Policy(ctx, account, p.ARN); err != nil || got.Attachments != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
	wantError(t, s.DeletePolicy(ctx, account, p.ARN), mayfly.KindConflict, "DeleteConflict", "Cannot delete a policy attached to entities.")
	if _, err := s.CreatePolicy(ctx, identity.Policy{Account: account, Name: "idle"}, allow); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		f    identity.PolicyFilter
		want string
	}{
		{identity.PolicyFilter{PathPrefix: "/"}, "idle Read"},
		{identity.PolicyFilter{PathPrefix: "/app/"}, "Read"},
		{identity.PolicyFilter{PathPrefix: "/", OnlyAttached: true}, "Read"},
		{identity.PolicyFilter{PathPrefix: "/", OnlyAttached: true, Boundaries: true}, ""},
	} {
		list, more, err := s.Policies(ctx, account, tc.f, "", 10)
		var names []string
		for _, p := range list {
			names = append(names, p.Name)
		}
		if err != nil || more || strings.Join(names, " ") != tc.want {
			t.Errorf("%+v: %v %v %v", tc.f, names, more, err)
		}
	}
	if err := s.DetachRolePolicy(ctx, account, "r", p.ARN); err != nil {
		t.Fatal(err)
	}
	if err := s.DeletePolicy(ctx, account, p.ARN); err != nil {
		t.Fatal(err)
	}
	if _, err := s.PolicyVersions(ctx, account, p.ARN); mayfly.KindOf(err) != mayfly.KindNotFound {
		t.Errorf("versions of a deleted policy: %v", err)
	}
}

func TestAWSManagedPolicies(t *testing.T) {
	ctx := context.Background()
	s, _ := open(t)
	p, err := s.Policy(ctx, account, basic)
	if err != nil || p.Name != "AWSLambdaBasicExecutionRole" || p.Path != "/service-role/" || p.DefaultVersion != 1 {
		t.Errorf("got %+v, %v", p, err)
	}
	if v, err := s.PolicyVersion(ctx, account, basic, 1); err != nil || !v.Default {
		t.Errorf("got %+v, %v", v, err)
	}
	wantError(t, s.DeletePolicy(ctx, account, basic), mayfly.KindDenied, "AccessDenied", "")
}

// TestReopen checks that records are on disk, not in memory.
func TestReopen(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "mayfly.db")
	for i := range 2 {
		db, err := sqlite.Open(ctx, path, sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := identity.Open(ctx, identity.Options{DB: db, MasterKey: master})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			createRole(t, s, "r")
		} else if _, err := s.Role(ctx, account, "r"); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
