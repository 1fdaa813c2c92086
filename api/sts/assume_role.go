package sts

import (
	"context"
	"time"

	"mayfly"
	"mayfly/api/awswire"
	"mayfly/api/awswire/stsapi"
	"mayfly/identity"
)

const (
	defaultSession = time.Hour
	maxChained     = time.Hour // of a session that another session starts
)

// assumeRole hands out credentials of a session of a role. The role must exist; whether its trust policy lets the caller
// in is not enforced yet, nor are session policies.
func (s *Service) assumeRole(ctx context.Context, r *awswire.Request, in *stsapi.AssumeRoleRequest) (*stsapi.AssumeRoleResponse, error) {
	arn, err := identity.ParseRoleARN(*in.RoleArn)
	if err != nil {
		return nil, &mayfly.Error{Kind: mayfly.KindInvalid, Code: "ValidationError", Message: *in.RoleArn + " is invalid"}
	}
	role, err := s.identity.Role(ctx, arn.Account, arn.Name)
	if mayfly.KindOf(err) == mayfly.KindNotFound || (err == nil && role.Path != arn.Path) {
		// AWS does not tell roles that are not there from forbidden ones.
		return nil, &mayfly.Error{Kind: mayfly.KindDenied, Code: "AccessDenied",
			Message: "User: " + r.Identity.PrincipalARN + " is not authorized to perform: sts:AssumeRole on resource: " + *in.RoleArn}
	}
	if err != nil {
		return nil, err
	}
	ttl := min(defaultSession, role.MaxSession)
	if in.DurationSeconds != nil {
		ttl = time.Duration(*in.DurationSeconds) * time.Second
	}
	caller, callerErr := s.identity.Key(r.Identity.AccessKeyID, sessionToken(r))
	switch {
	case ttl > role.MaxSession:
		return nil, &mayfly.Error{Kind: mayfly.KindInvalid, Code: "ValidationError", Message: "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."}
	case callerErr == nil && caller.RoleARN != "" && ttl > maxChained:
		return nil, &mayfly.Error{Kind: mayfly.KindInvalid, Code: "ValidationError", Message: "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."}
	}
	creds := s.identity.SessionCredentials(role.ARN(), *in.RoleSessionName, ttl)
	return &stsapi.AssumeRoleResponse{
		AssumedRoleUser: &stsapi.AssumedRoleUser{
			Arn:           awswire.Ptr(identity.AssumedRoleARN(arn.Account, arn.Name, *in.RoleSessionName)),
			AssumedRoleId: awswire.Ptr(role.ID + ":" + *in.RoleSessionName),
		},
		Credentials: &stsapi.Credentials{
			AccessKeyId: &creds.AccessKeyID, SecretAccessKey: &creds.SecretAccessKey, SessionToken: &creds.SessionToken, Expiration: &creds.Expiration,
		},
		SourceIdentity: in.SourceIdentity,
	}, nil
}
