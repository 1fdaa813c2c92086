package iam

import (
	"context"
	"strconv"

	"mayfly/api/awswire"
	"mayfly/api/awswire/iamapi"
	"mayfly/identity"
)

func (s *Service) createPolicy(ctx context.Context, r *awswire.Request, in *iamapi.CreatePolicyRequest) (*iamapi.CreatePolicyResponse, error) {
	tags, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	p, err := s.identity.CreatePolicy(ctx, identity.Policy{Account: r.Account(), Name: *in.PolicyName, Path: awswire.Value(in.Path),
		Description: awswire.Value(in.Description), Tags: tags}, *in.PolicyDocument)
	if err != nil {
		return nil, err
	}
	out := wirePolicy(p)
	out.Description = nil // GetPolicy has it
	return &iamapi.CreatePolicyResponse{Policy: out}, nil
}

func (s *Service) getPolicy(ctx context.Context, r *awswire.Request, in *iamapi.GetPolicyRequest) (*iamapi.GetPolicyResponse, error) {
	p, err := s.identity.Policy(ctx, r.Account(), *in.PolicyArn)
	if err != nil {
		return nil, err
	}
	return &iamapi.GetPolicyResponse{Policy: wirePolicy(p)}, nil
}

// listPolicies lists customer managed policies. Those that AWS manages are not known one by one, so Scope AWS is empty.
func (s *Service) listPolicies(ctx context.Context, r *awswire.Request, in *iamapi.ListPoliciesRequest) (*iamapi.ListPoliciesResponse, error) {
	after, limit, err := page(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &iamapi.ListPoliciesResponse{Policies: []iamapi.Policy{}}
	if awswire.Value(in.Scope) == "AWS" {
		out.IsTruncated = awswire.Ptr(false)
		return out, nil
	}
	boundaries := awswire.Value(in.PolicyUsageFilter) == "PermissionsBoundary"
	list, more, err := s.identity.Policies(ctx, r.Account(), identity.PolicyFilter{PathPrefix: awswire.Value(in.PathPrefix),
		OnlyAttached: awswire.Value(in.OnlyAttached) || boundaries, Boundaries: boundaries}, after, limit)
	if err != nil {
		return nil, err
	}
	last := ""
	for _, p := range list {
		wire := wirePolicy(p)
		wire.Tags, wire.Description = nil, nil // GetPolicy has them
		out.Policies = append(out.Policies, *wire)
		last = p.Name
	}
	out.Marker, out.IsTruncated = next(more, last)
	return out, nil
}

func (s *Service) deletePolicy(ctx context.Context, r *awswire.Request, in *iamapi.DeletePolicyRequest) (*awswire.None, error) {
	return &awswire.None{}, s.identity.DeletePolicy(ctx, r.Account(), *in.PolicyArn)
}

func wirePolicy(p *identity.Policy) *iamapi.Policy {
	return &iamapi.Policy{
		Arn: &p.ARN, AttachmentCount: &p.Attachments, CreateDate: &p.CreatedAt, DefaultVersionId: versionID(p.DefaultVersion), Description: optional(p.Description),
		IsAttachable: awswire.Ptr(true), Path: &p.Path, PermissionsBoundaryUsageCount: &p.Boundaries, PolicyId: &p.ID, PolicyName: &p.Name, Tags: tagList(p.Tags), UpdateDate: &p.UpdatedAt,
	}
}

func versionID(n int) *string { return awswire.Ptr("v" + strconv.Itoa(n)) }
