package iam

import (
	"context"
	"time"

	"mayfly/api/awswire"
	"mayfly/api/awswire/iamapi"
	"mayfly/identity"
)

func (s *Service) createRole(ctx context.Context, r *awswire.Request, in *iamapi.CreateRoleRequest) (*iamapi.CreateRoleResponse, error) {
	tags, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	role, err := s.identity.CreateRole(ctx, identity.Role{
		Account: r.Account(), Name: *in.RoleName, Path: awswire.Value(in.Path), Description: awswire.Value(in.Description), Trust: *in.AssumeRolePolicyDocument,
		MaxSession: time.Duration(awswire.Value(in.MaxSessionDuration)) * time.Second, Boundary: awswire.Value(in.PermissionsBoundary), Tags: tags,
	})
	if err != nil {
		return nil, err
	}
	return &iamapi.CreateRoleResponse{Role: wireRole(role)}, nil
}

func (s *Service) getRole(ctx context.Context, r *awswire.Request, in *iamapi.GetRoleRequest) (*iamapi.GetRoleResponse, error) {
	role, err := s.identity.Role(ctx, r.Account(), *in.RoleName)
	if err != nil {
		return nil, err
	}
	out := wireRole(role)
	out.RoleLastUsed = &iamapi.RoleLastUsed{} // use is not tracked
	return &iamapi.GetRoleResponse{Role: out}, nil
}

func (s *Service) listRoles(ctx context.Context, r *awswire.Request, in *iamapi.ListRolesRequest) (*iamapi.ListRolesResponse, error) {
	after, limit, err := page(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	roles, more, err := s.identity.Roles(ctx, r.Account(), awswire.Value(in.PathPrefix), after, limit)
	if err != nil {
		return nil, err
	}
	out := &iamapi.ListRolesResponse{Roles: []iamapi.Role{}}
	last := ""
	for _, role := range roles {
		wire := wireRole(role)
		wire.Tags, wire.PermissionsBoundary = nil, nil // GetRole has them
		out.Roles = append(out.Roles, *wire)
		last = role.Name
	}
	out.Marker, out.IsTruncated = next(more, last)
	return out, nil
}

func (s *Service) updateRole(ctx context.Context, r *awswire.Request, in *iamapi.UpdateRoleRequest) (*iamapi.UpdateRoleResponse, error) {
	var max *time.Duration
	if in.MaxSessionDuration != nil {
		max = awswire.Ptr(time.Duration(*in.MaxSessionDuration) * time.Second)
	}
	return &iamapi.UpdateRoleResponse{}, s.identity.UpdateRole(ctx, r.Account(), *in.RoleName, in.Description, max)
}

func (s *Service) updateRoleDescription(ctx context.Context, r *awswire.Request, in *iamapi.UpdateRoleDescriptionRequest) (*iamapi.UpdateRoleDescriptionResponse, error) {
	if err := s.identity.UpdateRole(ctx, r.Account(), *in.RoleName, in.Description, nil); err != nil {
		return nil, err
	}
	role, err := s.identity.Role(ctx, r.Account(), *in.RoleName)
	if err != nil {
		return nil, err
	}
	return &iamapi.UpdateRoleDescriptionResponse{Role: wireRole(role)}, nil
}

func (s *Service) updateAssumeRolePolicy(ctx context.Context, r *awswire.Request, in *iamapi.UpdateAssumeRolePolicyRequest) (*awswire.None, error) {
	return &awswire.None{}, s.identity.UpdateTrust(ctx, r.Account(), *in.RoleName, *in.PolicyDocument)
}

func (s *Service) deleteRole(ctx context.Context, r *awswire.Request, in *iamapi.DeleteRoleRequest) (*awswire.None, error) {
	return &awswire.None{}, s.identity.DeleteRole(ctx, r.Account(), *in.RoleName)
}

func (s *Service) putRolePermissionsBoundary(ctx context.Context, r *awswire.Request, in *iamapi.PutRolePermissionsBoundaryRequest) (*awswire.None, error) {
	return &awswire.None{}, s.identity.SetBoundary(ctx, r.Account(), *in.RoleName, *in.PermissionsBoundary)
}

func (s *Service) deleteRolePermissionsBoundary(ctx context.Context, r *awswire.Request, in *iamapi.DeleteRolePermissionsBoundaryRequest) (*awswire.None, error) {
	return &awswire.None{}, s.identity.SetBoundary(ctx, r.Account(), *in.RoleName, "")
}

// listInstanceProfilesForRole is what infrastructure tools ask before they delete a role. There are no machines to have
// profiles, so the list is empty.
func (s *Service) listInstanceProfilesForRole(ctx context.Context, r *awswire.Request, in *iamapi.ListInstanceProfilesForRoleRequest) (*iamapi.ListInstanceProfilesForRoleResponse, error) {
	if _, err := s.identity.Role(ctx, r.Account(), *in.RoleName); err != nil {
		return nil, err
	}
	return &iamapi.ListInstanceProfilesForRoleResponse{InstanceProfiles: []iamapi.InstanceProfile{}, IsTruncated: awswire.Ptr(false)}, nil
}

func wireRole(role *identity.Role) *iamapi.Role {
	out := &iamapi.Role{
		Arn: awswire.Ptr(role.ARN()), AssumeRolePolicyDocument: document(role.Trust), CreateDate: &role.CreatedAt, Description: optional(role.Description),
		MaxSessionDuration: awswire.Ptr(int(role.MaxSession / time.Second)), Path: &role.Path, RoleId: &role.ID, RoleName: &role.Name, Tags: tagList(role.Tags),
	}
	if role.Boundary != "" {
		out.PermissionsBoundary = &iamapi.AttachedPermissionsBoundary{PermissionsBoundaryArn: &role.Boundary, PermissionsBoundaryType: awswire.Ptr("Policy")}
	}
	return out
}
