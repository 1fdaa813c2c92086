package invoke

import (
	"context"
	"errors"
	"strings"
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
