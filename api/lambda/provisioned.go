package lambda

import (
	"mayfly"
	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
)

// Allocations tells what there is of a version's provisioned concurrency: how many initialised instances, and why no more,
// when starting one failed.
type Allocations interface {
	Allocated(v *mayfly.Version) (instances int, failure string)
}

// provisionedTarget reads the version or alias that provisioned concurrency belongs to.
func (s *Service) provisionedTarget(r *awswire.Request, name, qualifier string) (target, error) {
	t, err := s.whole(r, name)
	if err == nil {
		t.qualifier = qualifier
		_, err = s.lookup(t)
	}
	return t, err
}

// provisioned describes provisioned concurrency as it stands. Allocated and available are the same: an instance counts once
// it is initialised, also while it runs an invocation.
func (s *Service) provisioned(p *mayfly.Provisioned) lambdaapi.ProvisionedConcurrencyConfigListItem {
	n, failure := 0, ""
	if v, err := s.options.Functions.Lookup(p.Function, p.Qualifier); err == nil && s.options.Allocations != nil {
		n, failure = s.options.Allocations.Allocated(v)
	}
	n = min(n, p.Executions)
	status := "IN_PROGRESS"
	switch {
	case n == p.Executions:
		status, failure = "READY", ""
	case failure != "":
		status = "FAILED"
	}
	return lambdaapi.ProvisionedConcurrencyConfigListItem{
		FunctionArn:                              awswire.Ptr(p.Function.ARN(p.Qualifier)),
		RequestedProvisionedConcurrentExecutions: &p.Executions,
		AllocatedProvisionedConcurrentExecutions: &n,
		AvailableProvisionedConcurrentExecutions: &n,
		Status:                                   &status,
		StatusReason:                             text(failure),
		LastModified:                             awswire.Ptr(p.ModifiedAt.UTC().Format("2006-01-02T15:04:05-0700")),
	}
}
