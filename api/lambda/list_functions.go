package lambda

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"

	"mayfly"
	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
)

// maxPage is the most functions that Lambda lists at once, whatever MaxItems says.
const maxPage = 50

func (s *Service) listFunctions(_ context.Context, r *awswire.Request, in *lambdaapi.ListFunctionsRequest) (*lambdaapi.ListFunctionsResponse, error) {
	size := min(value(in.MaxItems, maxPage), maxPage)
	after, err := marker(in.Marker)
	if err != nil {
		return nil, err
	}
	var versions []*mayfly.Version
	var next string
	if awswire.Value(in.FunctionVersion) == "ALL" {
		versions, next, err = s.allVersions(r.Account(), r.Region, after, size)
	} else {
		versions, next = s.options.Functions.List(r.Account(), r.Region, after, size)
	}
	if err != nil {
		return nil, err
	}
	out := &lambdaapi.ListFunctionsResponse{Functions: []lambdaapi.FunctionConfiguration{}, NextMarker: nextMarker(next)}
	for _, v := range versions {
		out.Functions = append(out.Functions, *listed(v, in.FunctionVersion != nil))
	}
	return out, nil
}

// listed is a version as Lambda lists it: without its state, and with its ARN qualified where versions are listed.
func listed(v *mayfly.Version, qualified bool) *lambdaapi.FunctionConfiguration {
	c := configuration(v, "")
	if qualified {
		c.FunctionArn = awswire.Ptr(v.ID.ARN(v.Version))
	}
	c.State, c.StateReason, c.StateReasonCode = nil, nil, nil
	c.LastUpdateStatus, c.LastUpdateStatusReason, c.LastUpdateStatusReasonCode = nil, nil, nil
	c.RuntimeVersionConfig = nil
	return c
}

// allVersions pages through all versions of all functions. after is the name of the function where the page begins and,
// behind a slash, how many of its versions were listed before.
func (s *Service) allVersions(account, region, after string, size int) (page []*mayfly.Version, next string, err error) {
	name, skipText, _ := strings.Cut(after, "/")
	skip, _ := strconv.Atoi(skipText)
	previous, current := "", name
	for {
		var id mayfly.FunctionID
		if current != "" {
			id = mayfly.FunctionID{Account: account, Region: region, Name: current}
			current = ""
		} else {
			vs, _ := s.options.Functions.List(account, region, previous, 1)
			if len(vs) == 0 {
				return page, "", nil
			}
			id, skip = vs[0].ID, 0
		}
		previous = id.Name
		versions, err := s.options.Functions.ListVersions(id)
		if mayfly.KindOf(err) == mayfly.KindNotFound {
			continue // deleted since the last page
		}
		if err != nil {
			return nil, "", err
		}
		for i := skip; i < len(versions); i++ {
			if len(page) == size {
				return page, id.Name + "/" + strconv.Itoa(i), nil
			}
			page = append(page, versions[i])
		}
	}
}

// marker reads where a page begins. Markers are opaque to clients.
func marker(m *string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(awswire.Value(m))
	if err != nil {
		return "", errMarker()
	}
	return string(b), nil
}

func errMarker() error {
	return mayfly.Errorf(mayfly.KindInvalid, "Invalid pagination token: Marker must be the NextMarker of an earlier answer.")
}

func nextMarker(next string) *string {
	if next == "" {
		return nil
	}
	return awswire.Ptr(base64.RawURLEncoding.EncodeToString([]byte(next)))
}
