package sts

import (
	"context"

	"mayfly/api/awswire"
	"mayfly/api/awswire/stsapi"
)

func (s *Service) getCallerIdentity(ctx context.Context, r *awswire.Request, _ *stsapi.GetCallerIdentityRequest) (*stsapi.GetCallerIdentityResponse, error) {
	id := r.Account() // of root, and of callers that nobody verified
	if key, err := s.identity.Key(r.Identity.AccessKeyID, sessionToken(r)); err == nil {
		if id, err = s.identity.CallerID(ctx, key); err != nil {
			return nil, err
		}
	}
	return &stsapi.GetCallerIdentityResponse{Account: awswire.Ptr(r.Account()), Arn: awswire.Ptr(r.Identity.PrincipalARN), UserId: &id}, nil
}

func sessionToken(r *awswire.Request) string {
	if token := r.HTTP.Header.Get("X-Amz-Security-Token"); token != "" {
		return token
	}
	return r.HTTP.URL.Query().Get("X-Amz-Security-Token")
}
