package lambda

import (
	"context"

	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
	"mayfly/function"
)

func (s *Service) updateFunctionURLConfig(ctx context.Context, r *awswire.Request, in *lambdaapi.UpdateFunctionUrlConfigRequest) (*lambdaapi.UpdateFunctionUrlConfigResponse, error) {
	t, err := s.urlTarget(r, *in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, noURL(err)
	}
	if err := checkInvokeMode(in.InvokeMode); err != nil {
		return nil, err
	}
	u, err := s.options.Functions.UpdateURL(ctx, t.id, t.qualifier, function.URLUpdate{
		AuthType: in.AuthType, InvokeMode: in.InvokeMode, CORS: corsIn(in.Cors)})
	if err != nil {
		return nil, noURL(err)
	}
	out := lambdaapi.UpdateFunctionUrlConfigResponse(s.urlConfig(u, r.HTTP))
	return &out, nil
}
