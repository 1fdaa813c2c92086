package iam

import (
	"context"
	"strconv"
	"strings"

	"mayfly"
	"mayfly/api/awswire"
	"mayfly/api/awswire/iamapi"
	"mayfly/identity"
)

func (s *Service) createPolicyVersion(ctx context.Context, r *awswire.Request, in *iamapi.CreatePolicyVersionRequest) (*iamapi.CreatePolicyVersionResponse, error) {
	v, err := s.identity.CreatePolicyVersion(ctx, r.Account(), *in.PolicyArn, *in.PolicyDocument, awswire.Value(in.SetAsDefault))
	if err != nil {
		return nil, err
	}
	return &iamapi.CreatePolicyVersionResponse{PolicyVersion: wireVersion(v, false)}, nil
}

func (s *Service) getPolicyVersion(ctx context.Context, r *awswire.Request, in *iamapi.GetPolicyVersionRequest) (*iamapi.GetPolicyVersionResponse, error) {
	n, err := versionNumber(*in.VersionId)
	if err != nil {
		return nil, err
	}
	v, err := s.identity.PolicyVersion(ctx, r.Account(), *in.PolicyArn, n)
	if err != nil {
		return nil, err
	}
	return &iamapi.GetPolicyVersionResponse{PolicyVersion: wireVersion(v, true)}, nil
}

func (s *Service) listPolicyVersions(ctx context.Context, r *awswire.Request, in *iamapi.ListPolicyVersionsRequest) (*iamapi.ListPolicyVersionsResponse, error) {
	after, limit, err := page(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	versions, err := s.identity.PolicyVersions(ctx, r.Account(), *in.PolicyArn)
	if err != nil {
		return nil, err
	}
	before, _ := strconv.Atoi(after) // the list runs from the newest version down
	out := &iamapi.ListPolicyVersionsResponse{Versions: []iamapi.PolicyVersion{}}
	last, more := "", false
	for _, v := range versions {
		if before > 0 && v.Version >= before {
			continue
		}
		if more = len(out.Versions) == limit; more {
			break
		}
		out.Versions = append(out.Versions, *wireVersion(v, false))
		last = strconv.Itoa(v.Version)
	}
	out.Marker, out.IsTruncated = next(more, last)
	return out, nil
}

func (s *Service) setDefaultPolicyVersion(ctx context.Context, r *awswire.Request, in *iamapi.SetDefaultPolicyVersionRequest) (*awswire.None, error) {
	n, err := versionNumber(*in.VersionId)
	if err != nil {
		return nil, err
	}
	return &awswire.None{}, s.identity.SetDefaultVersion(ctx, r.Account(), *in.PolicyArn, n)
}

func (s *Service) deletePolicyVersion(ctx context.Context, r *awswire.Request, in *iamapi.DeletePolicyVersionRequest) (*awswire.None, error) {
	n, err := versionNumber(*in.VersionId)
	if err != nil {
		return nil, err
	}
	return &awswire.None{}, s.identity.DeletePolicyVersion(ctx, r.Account(), *in.PolicyArn, n)
}

func wireVersion(v *identity.PolicyVersion, withDocument bool) *iamapi.PolicyVersion {
	out := &iamapi.PolicyVersion{VersionId: versionID(v.Version), IsDefaultVersion: &v.Default, CreateDate: &v.CreatedAt}
	if withDocument {
		out.Document = document(v.Document)
	}
	return out
}

// versionNumber reads "v3"; the model's pattern allows a suffix that no version of ours has.
func versionNumber(id string) (int, error) {
	n, err := strconv.Atoi(strings.TrimPrefix(id, "v"))
	if err != nil {
		return 0, &mayfly.Error{Kind: mayfly.KindNotFound, Code: "NoSuchEntity", Message: "Policy version " + id + " does not exist."}
	}
	return n, nil
}
