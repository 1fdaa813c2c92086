package lambda

import (
	"context"

	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
)

func (s *Service) deleteFunctionURLConfig(ctx context.Context, r *awswire.Request, in *lambdaapi.DeleteFunctionUrlConfigRequest) (*awswire.None, error) {
	t, err := s.urlTarget(r, *in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, noURL(err)
	}
	if err := s.options.Functions.DeleteURL(ctx, t.id, t.qualifier); err != nil {
		return nil, noURL(err)
	}
	return &awswire.None{}, nil
}
