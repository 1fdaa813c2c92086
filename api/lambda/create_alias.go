package lambda

import (
	"context"

	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
	"mayfly/function"
)

func (s *Service) createAlias(ctx context.Context, r *awswire.Request, in *lambdaapi.CreateAliasRequest) (*lambdaapi.AliasConfiguration, error) {
	t, err := s.whole(r, *in.FunctionName)
	if err != nil {
		return nil, err
	}
	create := function.AliasInput{Function: t.id, Name: *in.Name, Version: *in.FunctionVersion, Description: awswire.Value(in.Description)}
	if w := weights(in.RoutingConfig); w != nil {
		create.Weights = *w
	}
	a, err := s.options.Functions.CreateAlias(ctx, create)
	if err != nil {
		return nil, err
	}
	return aliasConfiguration(a), nil
}
