package main

import (
	"mayfly"
	"mayfly/pool"
)

// provision tells the pool which initialised instances the registry wants of a function.
func (s *server) provision(id mayfly.FunctionID) {
	s.pool.Provision(id, func() (wanted []pool.Wanted) {
		s.registry.ProvisionedVersions(id, func(v *mayfly.Version, executions int) {
			wanted = append(wanted, pool.Wanted{Version: v, Instances: executions})
		})
		return wanted
	})
}

// Allocated tells the API how far the pool has come.
func (s *server) Allocated(v *mayfly.Version) (instances int, failure string) {
	a := s.pool.Allocation(v)
	return a.Instances, a.Failure
}
