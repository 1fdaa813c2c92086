package lambda

import (
	"context"

	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
)

func (s *Service) getFunction(_ context.Context, r *awswire.Request, in *lambdaapi.GetFunctionRequest) (*lambdaapi.GetFunctionResponse, error) {
	t, err := s.target(r, *in.FunctionName, awswire.Value(in.Qualifier))
	if err != nil {
		return nil, err
	}
	v, err := s.lookup(t)
	if err != nil {
		return nil, err
	}
	f, err := s.options.Functions.Function(t.id)
	if err != nil {
		return nil, err
	}
	out := &lambdaapi.GetFunctionResponse{
		Configuration: configuration(v, t.qualifier),
		Code: &lambdaapi.FunctionCodeLocation{
			RepositoryType: awswire.Ptr("S3"),
			Location:       awswire.Ptr(s.codeLocation(r.HTTP, v)),
		},
	}
	if f.Reserved != nil {
		out.Concurrency = &lambdaapi.Concurrency{ReservedConcurrentExecutions: f.Reserved}
	}
	if len(f.Tags) > 0 {
		out.Tags = f.Tags
	}
	return out, nil
}
