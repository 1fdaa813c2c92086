// Package invoke takes an invocation from admission to its answer: it checks what the function's state and the account's
// concurrency allow, leases an instance, runs the invocation on it, and counts what happened. It writes nothing to disk.
package invoke

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"mayfly"
	"mayfly/pool"
	"mayfly/telemetry"
)

// Options configure an Invoker. Pool and Metrics are required.
type Options struct {
	Pool    *pool.Pool
	Metrics *telemetry.Metrics
	Limits  mayfly.Limits
	Log     *slog.Logger

	Reservations Reservations // nil: nothing is reserved
}

// Invoker runs invocations. It is safe for concurrent use.
type Invoker struct {
	pool    *pool.Pool
	metrics *telemetry.Metrics
	limits  mayfly.Limits
	log     *slog.Logger

	reservations Reservations
	deskMu       sync.RWMutex
	desks        map[place]*desk

	drain sync.RWMutex // read-held by each invocation; Drain takes it
	stop  atomic.Bool
}

// New makes an Invoker.
func New(o Options) *Invoker {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Reservations == nil {
		o.Reservations = none{}
	}
	return &Invoker{pool: o.Pool, metrics: o.Metrics, limits: o.Limits, log: o.Log, reservations: o.Reservations, desks: map[place]*desk{}}
}

// Invoke runs one synchronous invocation and returns its answer. A failure of the function is an answer, with
// FunctionError set; an error means that the function did not run: not found or not ready, throttled, too large, or the
// platform failed. The invocation runs to its end even when the caller goes away, as on Lambda.
func (n *Invoker) Invoke(ctx context.Context, inv *mayfly.Invocation) (*mayfly.Result, error) {
	v := inv.Version
	name := v.ID.Name
	if err := n.Check(v); err != nil {
		return nil, err
	}
	if int64(len(inv.Payload)) > n.limits.RequestBytes {
		return nil, mayfly.Errorf(mayfly.KindTooLarge, "Request must be smaller than %d bytes for the InvokeFunction operation", n.limits.RequestBytes)
	}
	if !n.drain.TryRLock() {
		return nil, pool.ErrClosing
	}
	defer n.drain.RUnlock()
	if n.stop.Load() {
		return nil, pool.ErrClosing
	}
	admitted, err := n.admit(v)
	if err != nil {
		n.metrics.Invocations.WithLabelValues(name, "throttled").Inc()
		return nil, err
	}
	defer admitted.done()

	lease, err := n.pool.Acquire(context.WithoutCancel(ctx), v)
	if err != nil {
		n.metrics.Invocations.WithLabelValues(name, "failed").Inc()
		n.log.Error("no instance for an invocation", "function", name, "request", inv.RequestID, "error", err)
		return nil, err
	}
	out := lease.Invoke(inv)
	n.observe(name, out)
	return &out.Result, nil
}

// Check tells whether the version's state allows invocations.
func (n *Invoker) Check(v *mayfly.Version) error {
	switch v.State {
	case mayfly.StateActive, "":
		return nil
	case mayfly.StateFailed:
		return mayfly.Errorf(mayfly.KindConflict,
			"The operation cannot be performed at this time. The function is currently in the following state: Failed. %s", v.StateReason)
	default:
		return mayfly.Errorf(mayfly.KindConflict,
			"The operation cannot be performed at this time. The function is currently in the following state: %s", v.State)
	}
}

func (n *Invoker) observe(name string, out *pool.Outcome) {
	m, u := n.metrics, &out.Usage
	m.Invocations.WithLabelValues(name, u.Status).Inc()
	m.BilledMS.WithLabelValues(name).Add(float64(u.BilledMS))
	m.Duration.WithLabelValues(name, "handler").Observe(u.Phases.Handler.Seconds())
	m.Duration.WithLabelValues(name, "queued").Observe(u.Phases.Queued.Seconds())
	if u.Cold {
		m.ColdStarts.WithLabelValues(name).Inc()
		m.Duration.WithLabelValues(name, "sandbox").Observe(u.Phases.Sandbox.Seconds())
		m.Duration.WithLabelValues(name, "init").Observe(u.Phases.Init.Seconds())
	}
}

// Drain refuses new invocations and returns when those under way have ended, or with an error when ctx ends first.
func (n *Invoker) Drain(ctx context.Context) error {
	n.stop.Store(true)
	ended := make(chan struct{})
	go func() {
		n.drain.Lock() // granted once every invocation has released its read lock
		close(ended)
		n.drain.Unlock()
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("invocations still under way: %w", context.Cause(ctx))
	}
}
