package lambda

import (
	"context"

	"mayfly"
	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
	"mayfly/function"
)

func (s *Service) updateFunctionCode(ctx context.Context, r *awswire.Request, in *lambdaapi.UpdateFunctionCodeRequest) (*lambdaapi.FunctionConfiguration, error) {
	t, err := s.unqualified(r, *in.FunctionName)
	if err != nil {
		return nil, err
	}
	if _, err := s.lookup(t); err != nil {
		return nil, err
	}
	if in.ImageUri != nil {
		return nil, mayfly.Errorf(mayfly.KindInvalid, "Please don't provide ImageUri when updating a function with packageType Zip.")
	}
	if in.PublishTo != nil {
		return nil, unsupported("PublishTo")
	}
	if err := checkZip(in.ZipFile, in.S3Bucket, in.S3Key, nil); err != nil {
		return nil, err
	}
	if err := s.checkArchitectures(in.Architectures); err != nil {
		return nil, err
	}
	v, err := s.options.Functions.UpdateCode(ctx, t.id, function.CodeInput{
		Zip:           in.ZipFile,
		Architectures: in.Architectures,
		RevisionID:    awswire.Value(in.RevisionId),
		Publish:       awswire.Value(in.Publish),
		DryRun:        awswire.Value(in.DryRun),
	})
	if err != nil {
		return nil, err
	}
	return configuration(v, ""), nil
}
