package lambda

import (
	"context"

	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
)

func (s *Service) getAccountSettings(_ context.Context, r *awswire.Request, _ *lambdaapi.GetAccountSettingsRequest) (*lambdaapi.GetAccountSettingsResponse, error) {
	l := s.options.Limits
	unreserved := max(0, l.ConcurrentExecutions-s.options.Functions.SetAside(r.Account(), r.Region))
	bytes, count := s.options.Functions.Usage(r.Account(), r.Region)
	return &lambdaapi.GetAccountSettingsResponse{
		AccountLimit: &lambdaapi.AccountLimit{
			TotalCodeSize:                  &l.CodeStorageBytes,
			CodeSizeUnzipped:               &l.UnzippedBytes,
			CodeSizeZipped:                 &l.ZipBytes,
			ConcurrentExecutions:           &l.ConcurrentExecutions,
			UnreservedConcurrentExecutions: &unreserved,
		},
		AccountUsage: &lambdaapi.AccountUsage{TotalCodeSize: &bytes, FunctionCount: awswire.Ptr(int64(count))},
	}, nil
}
