package pool

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"mayfly/sandbox"
)

// watchful answers events, and fails the test when it gets one while it is frozen.
func watchful(t *testing.T) func(*fakeBox, sandbox.Process) {
	return func(b *fakeBox, p sandbox.Process) {
		r := newRuntime(b, p)
		defer r.close()
		for {
			id, payload, err := r.next()
			if err != nil {
				return
			}
			if b.frozen.Load() != 0 {
				t.Error("got an event while frozen")
			}
			if r.post("invocation/"+id+"/response", payload) != nil {
				return
			}
		}
	}
}

func freezeAfter(d time.Duration) func(*Options) {
	return func(o *Options) { o.FreezeAfter = d }
}

func boxOf(l *Lease) *fakeBox { return l.box.(*fakeBox) }

func TestIdleInstanceIsFrozen(t *testing.T) {
	h := newHarness(t, watchful(t), freezeAfter(5*time.Millisecond))
	defer h.stop(t)
	v := version("f")
	first, _ := h.call(t, v, "1")
	for round := range 3 {
		h.eventually(t, func() bool { return boxOf(first).frozen.Load() == 1 }, "frozen")
		l, out := h.call(t, v, "2")
		if l.Cold || out.Usage.Status != "success" {
			t.Fatalf("round %d: cold %v, %s", round, l.Cold, out.Usage.Status)
		}
	}
	if n := boxOf(first).thaws.Load(); n < 3 {
		t.Errorf("thawed %d times", n)
	}
	h.eventually(t, func() bool { return boxOf(first).frozen.Load() == 1 }, "frozen once more") // for stop to destroy
}

// Calls in a row, however many, do not meet the freezer.
func TestCallsInARowAreNotFrozen(t *testing.T) {
	h := newHarness(t, watchful(t), freezeAfter(time.Hour))
	defer h.stop(t)
	v := version("f")
	l, _ := h.call(t, v, "1")
	for range 50 {
		h.call(t, v, "1")
	}
	if n := boxOf(l).thaws.Load(); n != 0 {
		t.Errorf("thawed %d times", n)
	}
	waitFor(t, h, 1, "idle")
	held, err := h.Acquire(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	held.freeze() // the timer fired as the call came
	if boxOf(held).frozen.Load() != 0 {
		t.Error("a busy instance was frozen")
	}
	held.destroy(reasonShutdown)
}

func TestCallWhileFreezing(t *testing.T) {
	freezing := make(chan struct{}, 1)
	var freezes atomic.Int64
	h := newHarness(t, watchful(t), freezeAfter(time.Millisecond))
	h.driver.freeze = func(ctx context.Context) error {
		if freezes.Add(1) > 1 {
			return nil
		}
		freezing <- struct{}{}
		<-ctx.Done() // a process that does not stop
		return ctx.Err()
	}
	defer h.stop(t)
	first, _ := h.call(t, version("f"), "1")
	<-freezing
	if l, out := h.call(t, version("f"), "2"); l.Instance != first.Instance || out.Usage.Status != "success" {
		t.Errorf("%s on another instance", out.Usage.Status)
	}
}

func TestInstanceThatCannotBeThawed(t *testing.T) {
	h := newHarness(t, watchful(t), freezeAfter(time.Millisecond))
	h.driver.thaw = func() error { return errors.New("stuck") }
	defer h.stop(t)
	first, _ := h.call(t, version("f"), "1")
	h.eventually(t, func() bool { return boxOf(first).frozen.Load() == 1 }, "frozen")
	l, out := h.call(t, version("f"), "2")
	if l.Instance != first.Instance || out.Usage.Status != "error" {
		t.Errorf("cold %v, %s", l.Cold, out.Usage.Status)
	}
	<-first.destroyed
	h.driver.thaw = nil
}
