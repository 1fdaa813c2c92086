package lambda

import (
	"context"

	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
	"mayfly/function"
)

func (s *Service) createFunctionURLConfig(ctx context.Context, r *awswire.Request, in *lambdaapi.CreateFunctionUrlConfigRequest) (*lambdaapi.CreateFunctionUrlConfigResponse, error) {
	t, err := s.urlTarget(r, *in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	if err := checkInvokeMode(in.InvokeMode); err != nil {
		return nil, err
	}
	u, err := s.options.Functions.CreateURL(ctx, function.URLInput{
		Function: t.id, Qualifier: t.qualifier, AuthType: *in.AuthType, InvokeMode: or(awswire.Value(in.InvokeMode), "BUFFERED"), CORS: corsIn(in.Cors)})
	if err != nil {
		return nil, err
	}
	c := s.urlConfig(u, r.HTTP)
	return &lambdaapi.CreateFunctionUrlConfigResponse{AuthType: c.AuthType, Cors: c.Cors, CreationTime: c.CreationTime,
		FunctionArn: c.FunctionArn, FunctionUrl: c.FunctionUrl, InvokeMode: c.InvokeMode}, nil
}
