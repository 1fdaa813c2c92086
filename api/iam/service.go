package iam

import (
	"log/slog"

	"mayfly/api/awswire"
	"mayfly/api/awswire/iamapi"
	"mayfly/identity"
)

// Options set up a Service. Identity is required.
type Options struct {
	Identity *identity.Service
	Log      *slog.Logger
}

// Service is the IAM API. It is an awswire.ServiceHandler.
type Service struct {
	*awswire.Endpoint
	identity *identity.Service
}

// New makes the service.
func New(o Options) *Service {
	s := &Service{Endpoint: awswire.NewEndpoint(iamapi.Service, awswire.EndpointOptions{Log: o.Log}), identity: o.Identity}
	s.route()
	return s
}

// route is the table of operations.
func (s *Service) route() {
	e := s.Endpoint
	awswire.Handle(e, "CreateRole", s.createRole)
	awswire.Handle(e, "GetRole", s.getRole)
	awswire.Handle(e, "ListRoles", s.listRoles)
	awswire.Handle(e, "UpdateRole", s.updateRole)
	awswire.Handle(e, "UpdateRoleDescription", s.updateRoleDescription)
	awswire.Handle(e, "UpdateAssumeRolePolicy", s.updateAssumeRolePolicy)
	awswire.Handle(e, "DeleteRole", s.deleteRole)
	awswire.Handle(e, "PutRolePermissionsBoundary", s.putRolePermissionsBoundary)
	awswire.Handle(e, "DeleteRolePermissionsBoundary", s.deleteRolePermissionsBoundary)
	awswire.Handle(e, "ListInstanceProfilesForRole", s.listInstanceProfilesForRole)

	awswire.Handle(e, "TagRole", s.tagRole)
	awswire.Handle(e, "UntagRole", s.untagRole)
	awswire.Handle(e, "ListRoleTags", s.listRoleTags)

	awswire.Handle(e, "PutRolePolicy", s.putRolePolicy)
	awswire.Handle(e, "GetRolePolicy", s.getRolePolicy)
	awswire.Handle(e, "ListRolePolicies", s.listRolePolicies)
	awswire.Handle(e, "DeleteRolePolicy", s.deleteRolePolicy)

	awswire.Handle(e, "AttachRolePolicy", s.attachRolePolicy)
	awswire.Handle(e, "DetachRolePolicy", s.detachRolePolicy)
	awswire.Handle(e, "ListAttachedRolePolicies", s.listAttachedRolePolicies)

	awswire.Handle(e, "CreatePolicy", s.createPolicy)
	awswire.Handle(e, "GetPolicy", s.getPolicy)
	awswire.Handle(e, "ListPolicies", s.listPolicies)
	awswire.Handle(e, "DeletePolicy", s.deletePolicy)
	awswire.Handle(e, "CreatePolicyVersion", s.createPolicyVersion)
	awswire.Handle(e, "GetPolicyVersion", s.getPolicyVersion)
	awswire.Handle(e, "ListPolicyVersions", s.listPolicyVersions)
	awswire.Handle(e, "SetDefaultPolicyVersion", s.setDefaultPolicyVersion)
	awswire.Handle(e, "DeletePolicyVersion", s.deletePolicyVersion)
}
