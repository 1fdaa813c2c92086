package invoke

import (
	"sync"
	"time"

	"mayfly"
)

// Reservations tells which of an account's concurrency is set aside. *function.Registry is one. It is asked for every
// invocation, so that a change holds from the next one on.
type Reservations interface {
	// Reserved returns the concurrency that a function has for itself; ok is false when it shares the rest.
	Reserved(id mayfly.FunctionID) (n int, ok bool)
	// Provisioned returns how many invocations of a version need nothing of what is shared. It is 0 for a function that has a
	// reservation.
	Provisioned(v *mayfly.Version) int
	// SetAside returns how much the functions that share do not have.
	SetAside(account, region string) int
}

// none is a Reservations without any.
type none struct{}

func (none) Reserved(mayfly.FunctionID) (int, bool) { return 0, false }
func (none) Provisioned(*mayfly.Version) int        { return 0 }
func (none) SetAside(string, string) int            { return 0 }

type place struct{ account, region string }

// desk admits the invocations of one account in one region. Its lock is held for a few comparisons: a limit that several
// counters make up together is only exact when they change together.
type desk struct {
	mu        sync.Mutex
	total     int // invocations under way
	shared    int // those of them of functions without a reservation
	rate      rate
	functions map[string]*function
	sweepAt   int // size of functions at which those at rest are removed
}

// function is what a desk knows of one function.
type function struct {
	running     int  // on what is reserved or shared
	reserved    bool // running is not part of shared
	rate        rate
	provisioned map[string]*provisioned // by version
}

// provisioned is what a desk knows of a version with provisioned concurrency.
type provisioned struct {
	running int
	rate    rate
}

// ticket is an admitted invocation.
type ticket struct {
	desk        *desk
	fn          *function
	provisioned *provisioned // nil: on what is reserved or shared
}

// done ends the invocation.
func (t ticket) done() {
	t.desk.mu.Lock()
	defer t.desk.mu.Unlock()
	t.desk.total--
	if t.provisioned != nil {
		t.provisioned.running--
		return
	}
	t.fn.running--
	if !t.fn.reserved {
		t.desk.shared--
	}
}

func (n *Invoker) desk(id mayfly.FunctionID) *desk {
	at := place{id.Account, id.Region}
	n.deskMu.RLock()
	d := n.desks[at]
	n.deskMu.RUnlock()
	if d != nil {
		return d
	}
	n.deskMu.Lock()
	defer n.deskMu.Unlock()
	if d = n.desks[at]; d == nil {
		d = &desk{functions: map[string]*function{}, sweepAt: 64}
		n.desks[at] = d
	}
	return d
}

// admit counts an invocation against its function's reserved concurrency or, without one, against its version's
// provisioned concurrency and, beyond that, what the account's functions share; and against the rate that goes with each
// (https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html).
func (n *Invoker) admit(v *mayfly.Version) (ticket, error) {
	id := v.ID
	d := n.desk(id)
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	reserved, own := n.reservations.Reserved(id)
	f := d.function(id.Name, now)
	if own != f.reserved { // changed since the last invocation: those under way move with it
		f.reserved = own
		if own {
			d.shared -= f.running
		} else {
			d.shared += f.running
		}
	}
	if !own && d.total < n.limits.ConcurrentExecutions {
		if p := n.provisioned(f, v, now); p != nil {
			d.total++
			p.running++
			return ticket{d, f, p}, nil
		}
	}
	r, capacity, rateReason := &d.rate, n.limits.ConcurrentExecutions-n.reservations.SetAside(id.Account, id.Region), "FunctionInvocationRateLimitExceeded"
	switch {
	case own && f.running >= reserved:
		return ticket{}, errThrottled("ReservedFunctionConcurrentInvocationLimitExceeded", time.Second)
	case own:
		r, capacity, rateReason = &f.rate, reserved, "ReservedFunctionInvocationRateLimitExceeded"
	case d.shared >= capacity:
		return ticket{}, errThrottled("ConcurrentInvocationLimitExceeded", time.Second)
	}
	if d.total >= n.limits.ConcurrentExecutions { // a reservation is new, and others still use what it set aside
		return ticket{}, errThrottled("ConcurrentInvocationLimitExceeded", time.Second)
	}
	if per := n.limits.RequestsPerConcurrency; per > 0 {
		if wait := r.take(now, per*capacity); wait > 0 {
			return ticket{}, errThrottled(rateReason, wait)
		}
	}
	d.total++
	f.running++
	if !own {
		d.shared++
	}
	return ticket{desk: d, fn: f}, nil
}

// provisioned returns the provisioned concurrency that has room for an invocation of a version, nil when there is none.
func (n *Invoker) provisioned(f *function, v *mayfly.Version, now time.Time) *provisioned {
	has := n.reservations.Provisioned(v)
	if has == 0 {
		return nil
	}
	p := f.provisioned[v.Version]
	if p == nil {
		if f.provisioned == nil {
			f.provisioned = make(map[string]*provisioned)
		}
		p = &provisioned{}
		f.provisioned[v.Version] = p
	}
	per := n.limits.RequestsPerConcurrency
	if p.running >= has || per > 0 && p.rate.take(now, per*has) > 0 {
		return nil // spills over
	}
	return p
}

// atRest tells whether nothing is known of a function that matters.
func (f *function) atRest(now time.Time) bool {
	for _, p := range f.provisioned {
		if p.running > 0 || p.rate.next.After(now) {
			return false
		}
	}
	return f.running == 0 && !f.rate.next.After(now)
}

func errThrottled(reason string, after time.Duration) error {
	return &mayfly.Error{Kind: mayfly.KindThrottled, Message: "Rate Exceeded.", Reason: reason, RetryAfter: after}
}

// function finds or makes what is known of a function, and now and then forgets those that have been at rest.
func (d *desk) function(name string, now time.Time) *function {
	if f := d.functions[name]; f != nil {
		return f
	}
	if len(d.functions) >= d.sweepAt {
		for name, f := range d.functions {
			if f.atRest(now) {
				delete(d.functions, name)
			}
		}
		d.sweepAt = 2*len(d.functions) + 64
	}
	f := &function{}
	d.functions[name] = f
	return f
}

// rate limits requests per second. As many as come in one second may come at once (the generic cell rate algorithm).
type rate struct {
	next time.Time // when the requests so far would have come, had they come evenly
}

// take counts one request, or returns how long to wait for it.
func (r *rate) take(now time.Time, perSecond int) (wait time.Duration) {
	apart := time.Second / time.Duration(max(perSecond, 1))
	next := r.next
	if next.Before(now) {
		next = now
	}
	if early := next.Sub(now) + apart - time.Second; early > 0 {
		return early
	}
	r.next = next.Add(apart)
	return 0
}

// Concurrency returns how many invocations of the account are under way in the region.
func (n *Invoker) Concurrency(account, region string) int {
	n.deskMu.RLock()
	d := n.desks[place{account, region}]
	n.deskMu.RUnlock()
	if d == nil {
		return 0
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.total
}
