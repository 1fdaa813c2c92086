package lambda

import (
	"context"

	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
	"mayfly/function"
)

func (s *Service) updateAlias(ctx context.Context, r *awswire.Request, in *lambdaapi.UpdateAliasRequest) (*lambdaapi.AliasConfiguration, error) {
	t, err := s.whole(r, *in.FunctionName)
	if err != nil {
		return nil, err
	}
	a, err := s.options.Functions.UpdateAlias(ctx, t.id, *in.Name, function.AliasUpdate{
		RevisionID: awswire.Value(in.RevisionId), Version: in.FunctionVersion, Description: in.Description, Weights: weights(in.RoutingConfig)})
	if err != nil {
		return nil, err
	}
	return aliasConfiguration(a), nil
}
