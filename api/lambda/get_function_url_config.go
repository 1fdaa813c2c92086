package lambda

import (
	"context"

	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
)

func (s *Service) getFunctionURLConfig(_ context.Context, r *awswire.Request, in *lambdaapi.GetFunctionUrlConfigRequest) (*lambdaapi.GetFunctionUrlConfigResponse, error) {
	t, err := s.urlTarget(r, *in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, noURL(err)
	}
	u, err := s.options.Functions.GetURL(t.id, t.qualifier)
	if err != nil {
		return nil, noURL(err)
	}
	out := lambdaapi.GetFunctionUrlConfigResponse(s.urlConfig(u, r.HTTP))
	return &out, nil
}
