package lambda

import (
	"context"

	"mayfly"
	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
)

func (s *Service) putProvisionedConcurrencyConfig(ctx context.Context, r *awswire.Request, in *lambdaapi.PutProvisionedConcurrencyConfigRequest) (*lambdaapi.PutProvisionedConcurrencyConfigResponse, error) {
	if *in.Qualifier == mayfly.Latest {
		return nil, mayfly.Errorf(mayfly.KindInvalid, "Provisioned Concurrency Configs cannot be applied to unpublished function versions.")
	}
	t, err := s.provisionedTarget(r, *in.FunctionName, *in.Qualifier)
	if err != nil {
		return nil, err
	}
	p, err := s.options.Functions.Provision(ctx, t.id, t.qualifier, *in.ProvisionedConcurrentExecutions)
	if err != nil {
		return nil, err
	}
	c := s.provisioned(p)
	return &lambdaapi.PutProvisionedConcurrencyConfigResponse{RequestedProvisionedConcurrentExecutions: c.RequestedProvisionedConcurrentExecutions,
		AllocatedProvisionedConcurrentExecutions: c.AllocatedProvisionedConcurrentExecutions,
		AvailableProvisionedConcurrentExecutions: c.AvailableProvisionedConcurrentExecutions,
		Status:                                   c.Status, StatusReason: c.StatusReason, LastModified: c.LastModified}, nil
}
