package iam

import (
	"context"

	"mayfly/api/awswire"
	"mayfly/api/awswire/iamapi"
)

func (s *Service) putRolePolicy(ctx context.Context, r *awswire.Request, in *iamapi.PutRolePolicyRequest) (*awswire.None, error) {
	return &awswire.None{}, s.identity.PutRolePolicy(ctx, r.Account(), *in.RoleName, *in.PolicyName, *in.PolicyDocument)
}

func (s *Service) getRolePolicy(ctx context.Context, r *awswire.Request, in *iamapi.GetRolePolicyRequest) (*iamapi.GetRolePolicyResponse, error) {
	text, err := s.identity.RolePolicy(ctx, r.Account(), *in.RoleName, *in.PolicyName)
	if err != nil {
		return nil, err
	}
	return &iamapi.GetRolePolicyResponse{RoleName: in.RoleName, PolicyName: in.PolicyName, PolicyDocument: document(text)}, nil
}

func (s *Service) listRolePolicies(ctx context.Context, r *awswire.Request, in *iamapi.ListRolePoliciesRequest) (*iamapi.ListRolePoliciesResponse, error) {
	after, limit, err := page(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	names, more, err := s.identity.RolePolicies(ctx, r.Account(), *in.RoleName, after, limit)
	if err != nil {
		return nil, err
	}
	out := &iamapi.ListRolePoliciesResponse{PolicyNames: append([]string{}, names...)}
	last := ""
	if len(names) > 0 {
		last = names[len(names)-1]
	}
	out.Marker, out.IsTruncated = next(more, last)
	return out, nil
}

func (s *Service) deleteRolePolicy(ctx context.Context, r *awswire.Request, in *iamapi.DeleteRolePolicyRequest) (*awswire.None, error) {
	return &awswire.None{}, s.identity.DeleteRolePolicy(ctx, r.Account(), *in.RoleName, *in.PolicyName)
}
