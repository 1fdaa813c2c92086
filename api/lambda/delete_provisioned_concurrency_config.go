package lambda

import (
	"context"

	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
)

func (s *Service) deleteProvisionedConcurrencyConfig(ctx context.Context, r *awswire.Request, in *lambdaapi.DeleteProvisionedConcurrencyConfigRequest) (*awswire.None, error) {
	t, err := s.provisionedTarget(r, *in.FunctionName, *in.Qualifier)
	if err != nil {
		return nil, err
	}
	return &awswire.None{}, s.options.Functions.Unprovision(ctx, t.id, t.qualifier)
}
