package lambda

import (
	"context"

	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
)

func (s *Service) listAliases(_ context.Context, r *awswire.Request, in *lambdaapi.ListAliasesRequest) (*lambdaapi.ListAliasesResponse, error) {
	t, err := s.whole(r, *in.FunctionName)
	if err != nil {
		return nil, err
	}
	after, err := marker(in.Marker)
	if err != nil {
		return nil, err
	}
	aliases, next, err := s.options.Functions.ListAliases(t.id, awswire.Value(in.FunctionVersion), after, min(value(in.MaxItems, maxPage), maxPage))
	if err != nil {
		return nil, err
	}
	out := &lambdaapi.ListAliasesResponse{Aliases: []lambdaapi.AliasConfiguration{}, NextMarker: nextMarker(next)}
	for _, a := range aliases {
		out.Aliases = append(out.Aliases, *aliasConfiguration(a))
	}
	return out, nil
}
