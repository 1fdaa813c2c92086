package lambda

import (
	"context"

	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
)

func (s *Service) getFunctionConfiguration(_ context.Context, r *awswire.Request, in *lambdaapi.GetFunctionConfigurationRequest) (*lambdaapi.FunctionConfiguration, error) {
	t, err := s.target(r, *in.FunctionName, awswire.Value(in.Qualifier))
	if err != nil {
		return nil, err
	}
	v, err := s.lookup(t)
	if err != nil {
		return nil, err
	}
	return configuration(v, t.qualifier), nil
}
