package iam

import (
	"context"

	"mayfly/api/awswire"
	"mayfly/api/awswire/iamapi"
)

func (s *Service) tagRole(ctx context.Context, r *awswire.Request, in *iamapi.TagRoleRequest) (*awswire.None, error) {
	tags, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	return &awswire.None{}, s.identity.TagRole(ctx, r.Account(), *in.RoleName, tags)
}

func (s *Service) untagRole(ctx context.Context, r *awswire.Request, in *iamapi.UntagRoleRequest) (*awswire.None, error) {
	return &awswire.None{}, s.identity.UntagRole(ctx, r.Account(), *in.RoleName, in.TagKeys)
}

func (s *Service) listRoleTags(ctx context.Context, r *awswire.Request, in *iamapi.ListRoleTagsRequest) (*iamapi.ListRoleTagsResponse, error) {
	after, limit, err := page(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	role, err := s.identity.Role(ctx, r.Account(), *in.RoleName)
	if err != nil {
		return nil, err
	}
	out := &iamapi.ListRoleTagsResponse{Tags: []iamapi.Tag{}}
	for _, t := range tagList(role.Tags) {
		if *t.Key > after {
			out.Tags = append(out.Tags, t)
		}
	}
	more := len(out.Tags) > limit
	if more {
		out.Tags = out.Tags[:limit]
	}
	last := ""
	if len(out.Tags) > 0 {
		last = *out.Tags[len(out.Tags)-1].Key
	}
	out.Marker, out.IsTruncated = next(more, last)
	return out, nil
}
