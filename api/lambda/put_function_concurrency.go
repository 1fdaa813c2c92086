package lambda

import (
	"context"

	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
)

func (s *Service) putFunctionConcurrency(ctx context.Context, r *awswire.Request, in *lambdaapi.PutFunctionConcurrencyRequest) (*lambdaapi.Concurrency, error) {
	t, err := s.whole(r, *in.FunctionName)
	if err != nil {
		return nil, err
	}
	if err := s.options.Functions.Reserve(ctx, t.id, *in.ReservedConcurrentExecutions); err != nil {
		return nil, err
	}
	return &lambdaapi.Concurrency{ReservedConcurrentExecutions: in.ReservedConcurrentExecutions}, nil
}
