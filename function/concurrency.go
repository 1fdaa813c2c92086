package function

import (
	"context"

	"mayfly"
	"mayfly/store"
)

// Reserve gives a function concurrency of its own, which nobody else can use and which it cannot pass; 0 turns it off. It
// fails when too little is left for the functions without a reservation
// (https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html).
func (r *Registry) Reserve(ctx context.Context, id mayfly.FunctionID, n int) error {
	return r.setReserved(ctx, id, &n)
}

// Unreserve lets a function share what is not reserved again.
func (r *Registry) Unreserve(ctx context.Context, id mayfly.FunctionID) error {
	return r.setReserved(ctx, id, nil)
}

func (r *Registry) setReserved(ctx context.Context, id mayfly.FunctionID, n *int) error {
	if r.isClosed() {
		return errClosed()
	}
	// Held across the commit, so that two functions cannot reserve the same units.
	r.reserveMu.Lock()
	defer r.reserveMu.Unlock()
	return r.change(ctx, id, func(old *record) (edit, error) {
		if old == nil {
			return edit{}, errFunctionNotFound(id.ARN(""))
		}
		fn := *old.fn
		fn.Reserved = n
		rec := old.clone()
		rec.fn = &fn
		if sum := rec.provisionedSum(); n != nil && *n < sum {
			return edit{}, invalid(" ReservedConcurrentExecutions  %d should not be lower than function's total provisioned concurrency [%d].", *n, sum)
		}
		if n != nil && *n > 0 {
			left := r.o.Limits.ConcurrentExecutions - r.SetAside(id.Account, id.Region) + old.setAside() - rec.setAside()
			if left < r.o.Limits.UnreservedMinimum {
				return edit{}, invalid("Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [%d].",
					r.o.Limits.UnreservedMinimum)
			}
		}
		return edit{now: rec, persist: func(tx *store.Tx) error { return putFunction(tx, rec) }}, nil
	})
}

// Reserved returns a function's reserved concurrency; ok tells whether it has one. It allocates nothing.
func (r *Registry) Reserved(id mayfly.FunctionID) (n int, ok bool) {
	if rec := r.records.get(id); rec != nil && rec.fn.Reserved != nil {
		return *rec.fn.Reserved, true
	}
	return 0, false
}

// SetAside returns how much of an account's concurrency in a region is not for all of its functions. It takes no lock.
func (r *Registry) SetAside(account, region string) int {
	return (*r.usage.aside.Load())[place{account, region}]
}

// setAside is the function's part of SetAside.
func (r *record) setAside() int {
	switch {
	case r == nil:
		return 0
	case r.fn.Reserved != nil:
		return *r.fn.Reserved
	default:
		return r.provisionedSum()
	}
}
