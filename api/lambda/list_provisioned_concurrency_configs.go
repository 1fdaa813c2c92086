package lambda

import (
	"context"

	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
)

func (s *Service) listProvisionedConcurrencyConfigs(_ context.Context, r *awswire.Request, in *lambdaapi.ListProvisionedConcurrencyConfigsRequest) (*lambdaapi.ListProvisionedConcurrencyConfigsResponse, error) {
	t, err := s.whole(r, *in.FunctionName)
	if err != nil {
		return nil, err
	}
	after, err := marker(in.Marker)
	if err != nil {
		return nil, err
	}
	configs, next, err := s.options.Functions.ListProvisioned(t.id, after, value(in.MaxItems, maxPage))
	if err != nil {
		return nil, err
	}
	out := &lambdaapi.ListProvisionedConcurrencyConfigsResponse{
		ProvisionedConcurrencyConfigs: []lambdaapi.ProvisionedConcurrencyConfigListItem{}, NextMarker: nextMarker(next)}
	for _, p := range configs {
		out.ProvisionedConcurrencyConfigs = append(out.ProvisionedConcurrencyConfigs, s.provisioned(p))
	}
	return out, nil
}
