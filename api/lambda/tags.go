package lambda

import (
	"context"
	"slices"

	"mayfly"
	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
	"mayfly/function"
)

// tagged finds the function that a resource ARN names, with its tags.
func (s *Service) tagged(r *awswire.Request, arn string) (*mayfly.Function, error) {
	t, ok := parseName(arn)
	if !ok {
		return nil, unsupported("tags on other resources than functions")
	}
	if t.qualifier != "" {
		return nil, mayfly.Errorf(mayfly.KindInvalid, "Tags on function aliases and versions are not supported. Please specify a function ARN.")
	}
	t, err := s.target(r, arn, "")
	if err != nil {
		return nil, err
	}
	f, err := s.options.Functions.Function(t.id)
	if mayfly.KindOf(err) == mayfly.KindNotFound {
		return nil, notFound(t)
	}
	return f, err
}

// setEgress follows the tag that sets a function's network policy.
func (s *Service) setEgress(ctx context.Context, id mayfly.FunctionID, egress string) error {
	v, err := s.options.Functions.Lookup(id, "")
	if err != nil || v.Egress == egress {
		return err
	}
	_, err = s.options.Functions.UpdateConfig(ctx, id, function.ConfigInput{Egress: &egress})
	return err
}

func (s *Service) listTags(_ context.Context, r *awswire.Request, in *lambdaapi.ListTagsRequest) (*lambdaapi.ListTagsResponse, error) {
	f, err := s.tagged(r, *in.Resource)
	if err != nil {
		return nil, err
	}
	tags := f.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	return &lambdaapi.ListTagsResponse{Tags: tags}, nil
}

func (s *Service) tagResource(ctx context.Context, r *awswire.Request, in *lambdaapi.TagResourceRequest) (*awswire.None, error) {
	f, err := s.tagged(r, *in.Resource)
	if err != nil {
		return nil, err
	}
	others := 0
	for k := range f.Tags {
		if _, replaced := in.Tags[k]; !replaced {
			others++
		}
	}
	if err := checkTags(in.Tags, others); err != nil {
		return nil, err
	}
	if egress, ok := in.Tags[EgressTag]; ok {
		if err := s.setEgress(ctx, f.ID, egress); err != nil {
			return nil, err
		}
	}
	return &awswire.None{}, s.options.Functions.SetTags(ctx, f.ID, in.Tags, nil)
}

func (s *Service) untagResource(ctx context.Context, r *awswire.Request, in *lambdaapi.UntagResourceRequest) (*awswire.None, error) {
	f, err := s.tagged(r, *in.Resource)
	if err != nil {
		return nil, err
	}
	if slices.Contains(in.TagKeys, EgressTag) {
		if err := s.setEgress(ctx, f.ID, ""); err != nil {
			return nil, err
		}
	}
	return &awswire.None{}, s.options.Functions.SetTags(ctx, f.ID, nil, in.TagKeys)
}
