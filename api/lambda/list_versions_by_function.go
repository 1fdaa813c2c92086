package lambda

import (
	"context"
	"strconv"

	"mayfly"
	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
)

func (s *Service) listVersionsByFunction(_ context.Context, r *awswire.Request, in *lambdaapi.ListVersionsByFunctionRequest) (*lambdaapi.ListVersionsByFunctionResponse, error) {
	t, err := s.target(r, *in.FunctionName, "")
	if err != nil {
		return nil, err
	}
	after, err := marker(in.Marker)
	if err != nil {
		return nil, err
	}
	versions, err := s.options.Functions.ListVersions(t.id)
	if mayfly.KindOf(err) == mayfly.KindNotFound && err != nil {
		return nil, notFound(target{id: t.id})
	}
	if err != nil {
		return nil, err
	}
	// A page begins after the last version of the one before; $LATEST counts as 0.
	last := int64(-1)
	if after != "" {
		if last, err = strconv.ParseInt(after, 10, 64); err != nil {
			return nil, errMarker()
		}
	}
	size := min(value(in.MaxItems, maxPage), maxPage)
	out := &lambdaapi.ListVersionsByFunctionResponse{Versions: []lambdaapi.FunctionConfiguration{}}
	for _, v := range versions {
		number, _ := strconv.ParseInt(v.Version, 10, 64) // $LATEST is 0
		if number <= last {
			continue
		}
		if len(out.Versions) == size {
			previous := *out.Versions[size-1].Version
			if previous == mayfly.Latest {
				previous = "0"
			}
			out.NextMarker = nextMarker(previous)
			break
		}
		out.Versions = append(out.Versions, *listed(v, true))
	}
	return out, nil
}
