package lambda

import (
	"context"

	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
)

func (s *Service) deleteFunctionConcurrency(ctx context.Context, r *awswire.Request, in *lambdaapi.DeleteFunctionConcurrencyRequest) (*awswire.None, error) {
	t, err := s.whole(r, *in.FunctionName)
	if err != nil {
		return nil, err
	}
	return &awswire.None{}, s.options.Functions.Unreserve(ctx, t.id)
}
