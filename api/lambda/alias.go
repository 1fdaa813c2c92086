package lambda

import (
	"mayfly"
	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
)

// whole reads the name of a function that must be there, for operations on all of it.
func (s *Service) whole(r *awswire.Request, name string) (target, error) {
	t, err := s.unqualified(r, name)
	if err != nil {
		return t, err
	}
	_, err = s.lookup(t)
	return t, err
}

func aliasConfiguration(a *mayfly.Alias) *lambdaapi.AliasConfiguration {
	c := &lambdaapi.AliasConfiguration{
		AliasArn:        awswire.Ptr(a.Function.ARN(a.Name)),
		Name:            &a.Name,
		FunctionVersion: &a.Version,
		Description:     &a.Description,
		RevisionId:      &a.RevisionID,
	}
	if len(a.Weights) > 0 {
		c.RoutingConfig = &lambdaapi.AliasRoutingConfiguration{AdditionalVersionWeights: a.Weights}
	}
	return c
}

// weights reads a RoutingConfig: nil says nothing, one without weights removes them.
func weights(in *lambdaapi.AliasRoutingConfiguration) *map[string]float64 {
	if in == nil {
		return nil
	}
	return &in.AdditionalVersionWeights
}
