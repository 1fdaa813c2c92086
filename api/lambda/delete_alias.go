package lambda

import (
	"context"

	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
)

func (s *Service) deleteAlias(ctx context.Context, r *awswire.Request, in *lambdaapi.DeleteAliasRequest) (*awswire.None, error) {
	t, err := s.whole(r, *in.FunctionName)
	if err != nil {
		return nil, err
	}
	return &awswire.None{}, s.options.Functions.DeleteAlias(ctx, t.id, *in.Name)
}
