package lambda

import (
	"context"

	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
	"mayfly/function"
)

func (s *Service) publishVersion(ctx context.Context, r *awswire.Request, in *lambdaapi.PublishVersionRequest) (*lambdaapi.FunctionConfiguration, error) {
	t, err := s.whole(r, *in.FunctionName)
	if err != nil {
		return nil, err
	}
	if in.PublishTo != nil {
		return nil, unsupported("PublishTo")
	}
	v, err := s.options.Functions.Publish(ctx, t.id, function.PublishInput{
		CodeSHA256: awswire.Value(in.CodeSha256), RevisionID: awswire.Value(in.RevisionId), Description: in.Description})
	if err != nil {
		return nil, err
	}
	return configuration(v, ""), nil
}
