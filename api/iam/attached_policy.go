package iam

import (
	"context"
	"path"
	"strings"

	"mayfly/api/awswire"
	"mayfly/api/awswire/iamapi"
)

func (s *Service) attachRolePolicy(ctx context.Context, r *awswire.Request, in *iamapi.AttachRolePolicyRequest) (*awswire.None, error) {
	return &awswire.None{}, s.identity.AttachRolePolicy(ctx, r.Account(), *in.RoleName, *in.PolicyArn)
}

func (s *Service) detachRolePolicy(ctx context.Context, r *awswire.Request, in *iamapi.DetachRolePolicyRequest) (*awswire.None, error) {
	return &awswire.None{}, s.identity.DetachRolePolicy(ctx, r.Account(), *in.RoleName, *in.PolicyArn)
}

func (s *Service) listAttachedRolePolicies(ctx context.Context, r *awswire.Request, in *iamapi.ListAttachedRolePoliciesRequest) (*iamapi.ListAttachedRolePoliciesResponse, error) {
	after, limit, err := page(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	arns, more, err := s.identity.AttachedPolicies(ctx, r.Account(), *in.RoleName, after, limit)
	if err != nil {
		return nil, err
	}
	out := &iamapi.ListAttachedRolePoliciesResponse{AttachedPolicies: []iamapi.AttachedPolicy{}}
	last := ""
	for _, arn := range arns {
		last = arn
		_, rest, _ := strings.Cut(arn, ":policy")
		if prefix := awswire.Value(in.PathPrefix); prefix != "" && !strings.HasPrefix(rest, prefix) {
			continue
		}
		out.AttachedPolicies = append(out.AttachedPolicies, iamapi.AttachedPolicy{PolicyArn: &arn, PolicyName: awswire.Ptr(path.Base(rest))})
	}
	out.Marker, out.IsTruncated = next(more, last)
	return out, nil
}
