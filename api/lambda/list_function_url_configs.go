package lambda

import (
	"context"

	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
)

func (s *Service) listFunctionURLConfigs(_ context.Context, r *awswire.Request, in *lambdaapi.ListFunctionUrlConfigsRequest) (*lambdaapi.ListFunctionUrlConfigsResponse, error) {
	t, err := s.urlTarget(r, *in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	after, err := marker(in.Marker)
	if err != nil {
		return nil, err
	}
	urls, next, err := s.options.Functions.ListURLs(t.id, after, value(in.MaxItems, maxPage))
	if err != nil {
		return nil, err
	}
	out := &lambdaapi.ListFunctionUrlConfigsResponse{FunctionUrlConfigs: []lambdaapi.FunctionUrlConfig{}, NextMarker: nextMarker(next)}
	for _, u := range urls {
		out.FunctionUrlConfigs = append(out.FunctionUrlConfigs, s.urlConfig(u, r.HTTP))
	}
	return out, nil
}
