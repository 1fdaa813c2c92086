package pool

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mayfly"
	"mayfly/sandbox"
)

func published(name string) *mayfly.Version {
	v := version(name)
	v.Version = "1"
	return v
}

// allocated waits until what is provisioned for v is as wanted.
func (h *harness) allocated(t *testing.T, v *mayfly.Version, want Allocation) {
	t.Helper()
	h.await(t, func() bool { return h.Allocation(v) == want }, "allocation %+v, want %+v", func() []any { return []any{h.Allocation(v), want} })
}

func (h *harness) await(t *testing.T, ok func() bool, format string, args func() []any) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf(format, args()...)
		}
	}
}

func (h *harness) provision(v *mayfly.Version, n int) {
	h.Provision(v.ID, func() []Wanted { return []Wanted{{v, n}} })
}

func TestProvisionedInstancesStayAndAreUsedFirst(t *testing.T) {
	var provisioned, onDemand atomic.Int64
	h := newHarness(t, func(b *fakeBox, p sandbox.Process) {
		for _, kv := range p.Env {
			switch kv {
			case "AWS_LAMBDA_INITIALIZATION_TYPE=provisioned-concurrency":
				provisioned.Add(1)
			case "AWS_LAMBDA_INITIALIZATION_TYPE=on-demand":
				onDemand.Add(1)
			}
		}
		echo(b, p)
	}, func(o *Options) { o.IdleTimeout = 50 * time.Millisecond })
	defer h.stop(t)
	v := published("f")
	h.provision(v, 3)
	h.allocated(t, v, Allocation{Instances: 3})

	// Four calls at once: three are warm, the fourth starts an instance on demand.
	var leases []*Lease
	for range 4 {
		l, err := h.Acquire(t.Context(), v)
		if err != nil {
			t.Fatal(err)
		}
		leases = append(leases, l)
	}
	for n, l := range leases {
		if l.Cold != (n == 3) || (l.keeper == nil) != (n == 3) {
			t.Errorf("call %d: cold %v, provisioned %v", n, l.Cold, l.keeper != nil)
		}
		if out := l.Invoke(&mayfly.Invocation{RequestID: "r", Version: v, Payload: []byte("1")}); out.Result.FunctionError != "" || l.Cold != (out.Usage.InitTime > 0) {
			t.Errorf("call %d: %+v", n, out)
		}
	}
	instances := func() []any { return []any{h.Instances()} }
	h.await(t, func() bool { return len(h.Instances()) == 3 }, "the instance on demand stays, or a provisioned one does not: %v", instances)
	if provisioned.Load() != 3 || onDemand.Load() != 1 || h.Allocation(v).Instances != 3 {
		t.Errorf("%d and %d instances were started, %+v", provisioned.Load(), onDemand.Load(), h.Allocation(v))
	}
	h.provision(v, 1)
	h.await(t, func() bool { return len(h.Instances()) == 1 }, "after a change to 1: %v", instances)
	h.allocated(t, v, Allocation{Instances: 1})
	h.Provision(v.ID, func() []Wanted { return nil })
	h.await(t, func() bool { return len(h.Instances()) == 0 }, "after provisioned concurrency was removed: %v", instances)
}

func TestProvisionedInstanceIsPickedBeforeOneOnDemand(t *testing.T) {
	kept, other := &Instance{keeper: &keeper{}}, &Instance{}
	g := &group{idle: []*Instance{kept, other, other}, provisioned: true}
	if n := g.pick(); n != 0 {
		t.Errorf("picked %d of the idle instances", n)
	}
	if i := g.evictable(); i != other {
		t.Error("a provisioned instance would be evicted")
	}
	kept.surplus = true
	if n := g.pick(); n != 2 {
		t.Errorf("picked %d when none is provisioned any more", n)
	}
}

func TestProvisionedInstancesAreReplaced(t *testing.T) {
	h := newHarness(t, func(b *fakeBox, p sandbox.Process) {
		r := newRuntime(b, p)
		defer r.close()
		for {
			id, payload, err := r.next()
			if err != nil || string(payload) == "crash" {
				return
			}
			if r.post("invocation/"+id+"/response", payload) != nil {
				return
			}
		}
	})
	defer h.stop(t)
	v := published("f")
	h.provision(v, 2)
	h.allocated(t, v, Allocation{Instances: 2})
	crashed, out := h.call(t, v, "crash")
	if out.Result.FunctionError == "" || crashed.keeper == nil {
		t.Fatalf("the call did not crash a provisioned instance: %+v", out)
	}
	h.await(t, func() bool {
		return !slices.ContainsFunc(h.Instances(), func(i Info) bool { return i.ID == crashed.id })
	}, "the crashed instance is still there: %v", func() []any { return []any{h.Instances()} })
	h.await(t, func() bool { return h.driver.created.Load() == 3 }, "%d instances were made, want 3", func() []any { return []any{h.driver.created.Load()} })
	h.allocated(t, v, Allocation{Instances: 2})
}

func TestOldProvisionedInstancesAreReplaced(t *testing.T) {
	h := newHarness(t, echo, func(o *Options) { o.MaxAge = 50 * time.Millisecond })
	defer h.stop(t)
	v := published("f")
	h.provision(v, 1)
	h.await(t, func() bool { return h.driver.created.Load() >= 2 }, "an idle instance is never replaced", func() []any { return nil })
	h.allocated(t, v, Allocation{Instances: 1})
}

func TestProvisionedInitFails(t *testing.T) {
	var broken atomic.Bool
	broken.Store(true)
	h := newHarness(t, func(b *fakeBox, p sandbox.Process) {
		if broken.Load() {
			b.exit = mayfly.Exit{Code: 1}
			return
		}
		echo(b, p)
	})
	defer h.stop(t)
	v := published("f")
	h.provision(v, 2)
	h.allocated(t, v, Allocation{Failure: "FUNCTION_ERROR_INIT_FAILURE"})
	broken.Store(false)
	h.allocated(t, v, Allocation{Instances: 2})
	if n := h.driver.created.Load(); n > 8 {
		t.Errorf("%d attempts: those that fail must be followed by a pause", n)
	}
}

func TestLogNamesTheInitializationType(t *testing.T) {
	h := newHarness(t, echo)
	v := published("f")
	v.Logging.Format = "JSON"
	h.provision(v, 1)
	h.allocated(t, v, Allocation{Instances: 1})
	h.stop(t)
	h.mu.Lock()
	defer h.mu.Unlock()
	if text := strings.Join(h.lines, ""); !strings.Contains(text, `"initializationType":"provisioned-concurrency"`) {
		t.Errorf("the log says %s", text)
	}
}

func TestKeeperBacksOff(t *testing.T) {
	now := time.Unix(0, 0)
	k := &keeper{pool: &Pool{now: func() time.Time { return now }}, delay: keepRetry, kept: map[*Instance]struct{}{}, wake: make(chan struct{}, 1)}
	var waits []string
	for range 8 {
		i := &Instance{born: now}
		k.kept[i] = struct{}{}
		k.lost(i)
		waits = append(waits, k.notBefore.Sub(now).String())
	}
	if got := strings.Join(waits, " "); got != "1s 2s 4s 8s 16s 32s 1m0s 1m0s" {
		t.Errorf("pauses after instances that ended at once: %s", got)
	}
	i := &Instance{born: now.Add(-time.Minute)}
	k.kept[i] = struct{}{}
	k.lost(i)
	if k.delay != keepRetry {
		t.Errorf("after an instance that lived the next pause is %v", k.delay)
	}
}

func TestCloseWhileProvisioning(t *testing.T) {
	h := newHarness(t, func(b *fakeBox, _ sandbox.Process) { <-b.killed }) // never initialised
	v := published("f")
	h.provision(v, 20)
	h.await(t, func() bool { return h.driver.live.Load() > 0 }, "no instance was begun", func() []any { return nil })
	h.stop(t)
	h.provision(v, 1)
	if _, err := h.Acquire(t.Context(), v); mayfly.KindOf(err) != mayfly.KindUnavailable {
		t.Errorf("after Close: %v", err)
	}
}
