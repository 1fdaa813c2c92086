package lambda

import (
	"context"

	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
)

func (s *Service) getAlias(_ context.Context, r *awswire.Request, in *lambdaapi.GetAliasRequest) (*lambdaapi.AliasConfiguration, error) {
	t, err := s.whole(r, *in.FunctionName)
	if err != nil {
		return nil, err
	}
	a, err := s.options.Functions.GetAlias(t.id, *in.Name)
	if err != nil {
		return nil, err
	}
	return aliasConfiguration(a), nil
}
