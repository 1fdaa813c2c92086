package lambda

import (
	"context"

	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
)

func (s *Service) getProvisionedConcurrencyConfig(_ context.Context, r *awswire.Request, in *lambdaapi.GetProvisionedConcurrencyConfigRequest) (*lambdaapi.GetProvisionedConcurrencyConfigResponse, error) {
	t, err := s.provisionedTarget(r, *in.FunctionName, *in.Qualifier)
	if err != nil {
		return nil, err
	}
	p, err := s.options.Functions.GetProvisioned(t.id, t.qualifier)
	if err != nil {
		return nil, err
	}
	c := s.provisioned(p)
	return &lambdaapi.GetProvisionedConcurrencyConfigResponse{RequestedProvisionedConcurrentExecutions: c.RequestedProvisionedConcurrentExecutions,
		AllocatedProvisionedConcurrentExecutions: c.AllocatedProvisionedConcurrentExecutions,
		AvailableProvisionedConcurrentExecutions: c.AvailableProvisionedConcurrentExecutions,
		Status:                                   c.Status, StatusReason: c.StatusReason, LastModified: c.LastModified}, nil
}
