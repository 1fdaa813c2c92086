package identity

import (
	"context"
	"regexp"
	"strings"

	"mayfly"
)

// RoleARN is a role's ARN in parts.
type RoleARN struct {
	Account string
	Path    string // "/" or "/division/"
	Name    string
}

var roleARNForm = regexp.MustCompile(`^arn:(?:aws[a-zA-Z-]*)?:iam::(\d{12}):role((?:/[\x21-\x7E]+)?/)([\w+=,.@-]{1,64})$`)

// ParseRoleARN reads arn:aws:iam::ACCOUNT:role/PATH/NAME. The error has KindInvalid.
func ParseRoleARN(arn string) (RoleARN, error) {
	m := roleARNForm.FindStringSubmatch(arn)
	if m == nil || strings.Contains(m[2], "//") {
		return RoleARN{}, mayfly.Errorf(mayfly.KindInvalid, "%q is not the ARN of a role; it looks like arn:aws:iam::123456789012:role/NAME", arn)
	}
	return RoleARN{Account: m[1], Path: m[2], Name: m[3]}, nil
}

// String is the inverse of ParseRoleARN.
func (a RoleARN) String() string { return "arn:aws:iam::" + a.Account + ":role" + a.Path + a.Name }

// RoleExists checks that roleARN has the form of a role's ARN (KindInvalid if not) and tells whether there is a record of
// that role.
func (s *Service) RoleExists(ctx context.Context, roleARN string) (bool, error) {
	_, err := s.roleByARN(ctx, roleARN)
	switch {
	case err == nil:
		return true, nil
	case mayfly.KindOf(err) == mayfly.KindNotFound:
		return false, nil
	}
	return false, err
}

func (s *Service) roleByARN(ctx context.Context, arn string) (*Role, error) {
	parts, err := ParseRoleARN(arn)
	if err != nil {
		return nil, err
	}
	role, err := s.Role(ctx, parts.Account, parts.Name)
	if err == nil && role.Path != parts.Path {
		return nil, noSuchRole(parts.Name)
	}
	return role, err
}

var (
	policyARNForm  = regexp.MustCompile(`^arn:aws[a-zA-Z-]*:iam::(\d{12}|aws):policy((?:/[\x21-\x7E]+)?/)([\w+=,.@-]{1,128})$`)
	managedAccount = "aws"
)

// policyAccount returns the account in a policy's ARN, "aws" for one that AWS manages.
func policyAccount(arn string) (string, error) {
	m := policyARNForm.FindStringSubmatch(arn)
	if m == nil {
		return "", &mayfly.Error{Kind: mayfly.KindInvalid, Code: "ValidationError", Message: "ARN " + arn + " is not valid."}
	}
	return m[1], nil
}
