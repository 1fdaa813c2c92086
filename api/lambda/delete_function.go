package lambda

import (
	"context"
	"net/http"

	"mayfly"
	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
)

func (s *Service) deleteFunction(ctx context.Context, r *awswire.Request, in *lambdaapi.DeleteFunctionRequest) (*lambdaapi.DeleteFunctionResponse, error) {
	t, err := s.target(r, *in.FunctionName, awswire.Value(in.Qualifier))
	if err != nil {
		return nil, err
	}
	if t.qualifier == mayfly.Latest {
		return nil, mayfly.Errorf(mayfly.KindInvalid, "$LATEST version cannot be deleted without deleting the function.")
	}
	if _, err := s.lookup(target{id: t.id}); err != nil {
		return nil, err
	}
	if err := s.options.Functions.Delete(ctx, t.id, t.qualifier); err != nil {
		return nil, err
	}
	return &lambdaapi.DeleteFunctionResponse{StatusCode: awswire.Ptr(http.StatusNoContent)}, nil
}
