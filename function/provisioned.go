package function

import (
	"cmp"
	"context"
	"slices"

	"mayfly"
	"mayfly/store"
)

func errNotProvisioned() *mayfly.Error {
	return &mayfly.Error{Kind: mayfly.KindNotFound, Code: "ProvisionedConcurrencyConfigNotFoundException",
		Message: "No Provisioned Concurrency Config found for this function"}
}

// Provision sets how many initialised instances a published version, or the version that an alias leads to, has at all
// times. They count against the function's reserved concurrency or, without one, against what all functions share.
func (r *Registry) Provision(ctx context.Context, id mayfly.FunctionID, qualifier string, n int) (*mayfly.Provisioned, error) {
	if r.isClosed() {
		return nil, errClosed()
	}
	p := &mayfly.Provisioned{Function: id, Qualifier: qualifier, Executions: n, ModifiedAt: r.now()}
	r.reserveMu.Lock()
	err := r.change(ctx, id, func(old *record) (edit, error) {
		if err := old.provisionable(id, qualifier); err != nil {
			return edit{}, err
		}
		rec := old.clone()
		rec.provisioned[qualifier] = p
		if err := r.provisionFits(old, rec); err != nil {
			return edit{}, err
		}
		return edit{now: rec, persist: func(tx *store.Tx) error { return putProvisioned(tx, p) }}, nil
	})
	r.reserveMu.Unlock()
	if err != nil {
		return nil, err
	}
	r.changed(id)
	return p, nil
}

// provisionable checks that a qualifier can have provisioned concurrency.
func (r *record) provisionable(id mayfly.FunctionID, qualifier string) error {
	const latest = "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
	switch {
	case r == nil:
		return errFunctionNotFound(id.ARN(""))
	case r.version(qualifier) == nil:
		return errFunctionNotFound(id.ARN(qualifier))
	case r.version(qualifier) == r.latest:
		return invalid(latest)
	}
	if a := r.aliases[qualifier]; a != nil {
		switch {
		case len(a.Weights) > 0:
			return invalid("Alias with weights can not be used with Provisioned Concurrency")
		case r.provisioned[a.Version] != nil:
			return mayfly.Errorf(mayfly.KindConflict, "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version")
		}
		return nil
	}
	for name := range r.provisioned {
		if a := r.aliases[name]; a != nil && a.Version == qualifier {
			return mayfly.Errorf(mayfly.KindConflict, "Version is pointed by a Provisioned Concurrency alias")
		}
	}
	return nil
}

// provisionFits checks a function's provisioned concurrency against its reservation or its account's limit. reserveMu is
// held.
func (r *Registry) provisionFits(old, now *record) error {
	id := now.fn.ID
	if reserved := now.fn.Reserved; reserved != nil {
		if now.provisionedSum() > *reserved {
			return invalid("Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function")
		}
		return nil
	}
	left := r.o.Limits.ConcurrentExecutions - r.SetAside(id.Account, id.Region) + old.setAside() - now.setAside()
	if now.setAside() > old.setAside() && left < r.o.Limits.UnreservedMinimum {
		return invalid("Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [%d].",
			r.o.Limits.UnreservedMinimum)
	}
	return nil
}

func (r *record) provisionedSum() (sum int) {
	for _, p := range r.provisioned {
		sum += p.Executions
	}
	return sum
}

// Unprovision removes the provisioned concurrency of a version or alias. One that is not there is not an error.
func (r *Registry) Unprovision(ctx context.Context, id mayfly.FunctionID, qualifier string) error {
	if r.isClosed() {
		return errClosed()
	}
	err := r.change(ctx, id, func(old *record) (edit, error) {
		if old == nil {
			return edit{}, errFunctionNotFound(id.ARN(""))
		}
		rec := old.clone()
		delete(rec.provisioned, qualifier)
		return edit{now: rec, persist: func(tx *store.Tx) error { return deleteProvisioned(tx, id, qualifier) }}, nil
	})
	if err == nil {
		r.changed(id)
	}
	return err
}

// GetProvisioned returns the provisioned concurrency of a version or alias. Fails with KindNotFound.
func (r *Registry) GetProvisioned(id mayfly.FunctionID, qualifier string) (*mayfly.Provisioned, error) {
	if rec := r.records.get(id); rec != nil {
		if p := rec.provisioned[qualifier]; p != nil {
			return p, nil
		}
	}
	return nil, errNotProvisioned()
}

// ListProvisioned returns up to max provisioned concurrencies of a function, by qualifier, that come after the given
// qualifier. next is what to pass as after for the following page, "" at the end.
func (r *Registry) ListProvisioned(id mayfly.FunctionID, after string, max int) (ps []*mayfly.Provisioned, next string, err error) {
	rec := r.records.get(id)
	if rec == nil {
		return nil, "", errFunctionNotFound(id.ARN(""))
	}
	for _, p := range rec.provisioned {
		if p.Qualifier > after {
			ps = append(ps, p)
		}
	}
	slices.SortFunc(ps, func(a, b *mayfly.Provisioned) int { return cmp.Compare(a.Qualifier, b.Qualifier) })
	if max > 0 && len(ps) > max {
		ps = ps[:max]
		next = ps[max-1].Qualifier
	}
	return ps, next, nil
}

// ProvisionedVersions calls fn for each version of a function that has provisioned concurrency, more than once when an alias
// leads to it too.
func (r *Registry) ProvisionedVersions(id mayfly.FunctionID, fn func(v *mayfly.Version, executions int)) {
	if rec := r.records.get(id); rec != nil {
		for qualifier, p := range rec.provisioned {
			if v := rec.version(qualifier); v != nil && v != rec.latest {
				fn(v, p.Executions)
			}
		}
	}
}

// ProvisionedFunctions lists the functions with provisioned concurrency.
func (r *Registry) ProvisionedFunctions() (ids []mayfly.FunctionID) {
	r.records.each(func(rec *record) {
		if len(rec.provisioned) > 0 {
			ids = append(ids, rec.fn.ID)
		}
	})
	return ids
}

// Provisioned returns how many invocations of a version need no part of what all functions share: its provisioned
// concurrency, unless the function has a reservation, which covers it. It allocates nothing.
func (r *Registry) Provisioned(v *mayfly.Version) (n int) {
	rec := r.records.get(v.ID)
	if rec == nil || len(rec.provisioned) == 0 || rec.fn.Reserved != nil {
		return 0
	}
	for qualifier, p := range rec.provisioned {
		if to := rec.version(qualifier); to != nil && to.Version == v.Version {
			n += p.Executions
		}
	}
	return n
}
