package invoke

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"mayfly"
	"mayfly/pool"
	"mayfly/telemetry"
)

func newInvoker(change func(*mayfly.Limits)) *Invoker {
	limits := mayfly.DefaultLimits()
	if change != nil {
		change(&limits)
	}
	m := telemetry.NewMetrics()
	return New(Options{Pool: pool.New(pool.Options{Metrics: m, Limits: limits}), Metrics: m, Limits: limits})
}

func TestConcurrencyIsNeverExceededByOne(t *testing.T) {
	const limit, callers = 10, 200
	n := newInvoker(func(l *mayfly.Limits) { l.ConcurrentExecutions = limit })
	var admitted, refused, most atomic.Int64
	hold := make(chan struct{})
	var wg sync.WaitGroup
	var tried sync.WaitGroup
	tried.Add(callers)
	for range callers {
		wg.Go(func() {
			done, err := n.admit("000000000000")
			if err != nil {
				refused.Add(1)
				tried.Done()
				var e *mayfly.Error
				if !errors.As(err, &e) || e.Kind != mayfly.KindThrottled || e.Reason != "ConcurrentInvocationLimitExceeded" {
					t.Errorf("refused with %v", err)
				}
				return
			}
			most.Store(max(most.Load(), n.Concurrency("000000000000")))
			admitted.Add(1)
			tried.Done()
			<-hold
			done()
		})
	}
	tried.Wait()
	if admitted.Load() != limit || refused.Load() != callers-limit {
		t.Errorf("%d admitted and %d refused, want %d and %d", admitted.Load(), refused.Load(), limit, callers-limit)
	}
	if _, err := n.admit("111111111111"); err != nil {
		t.Errorf("another account was refused: %v", err)
	}
	close(hold)
	wg.Wait()
	if c := n.Concurrency("000000000000"); c != 0 {
		t.Errorf("%d invocations counted after all have ended", c)
	}
}

func TestStateDecides(t *testing.T) {
	n := newInvoker(nil)
	for state, want := range map[mayfly.State]string{
		mayfly.StateActive:  "",
		mayfly.StatePending: "The operation cannot be performed at this time. The function is currently in the following state: Pending",
		mayfly.StateFailed:  "The operation cannot be performed at this time. The function is currently in the following state: Failed. no disk",
	} {
		err := n.Check(&mayfly.Version{State: state, StateReason: "no disk"})
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", state, err)
		case want != "" && (err == nil || err.Error() != want || mayfly.KindOf(err) != mayfly.KindConflict):
			t.Errorf("%s: %v, want %s", state, err, want)
		}
	}
}

func TestPayloadLimit(t *testing.T) {
	n := newInvoker(func(l *mayfly.Limits) { l.RequestBytes = 10 })
	_, err := n.Invoke(t.Context(), &mayfly.Invocation{Version: &mayfly.Version{State: mayfly.StateActive}, Payload: make([]byte, 11)})
	if mayfly.KindOf(err) != mayfly.KindTooLarge || !strings.Contains(err.Error(), "10 bytes") {
		t.Errorf("err = %v", err)
	}
}

func TestDrainWaitsAndRefuses(t *testing.T) {
	n := newInvoker(nil)
	n.drain.RLock() // an invocation under way
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.Drain(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("drained while an invocation was under way: %v", err)
	}
	if _, err := n.Invoke(t.Context(), &mayfly.Invocation{Version: &mayfly.Version{State: mayfly.StateActive}}); mayfly.KindOf(err) != mayfly.KindUnavailable {
		t.Errorf("an invocation was taken while draining: %v", err)
	}
	n.drain.RUnlock()
	if err := n.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}
