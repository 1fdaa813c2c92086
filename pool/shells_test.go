package pool

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"mayfly"
	"mayfly/sandbox"
	"mayfly/sandbox/bootstrap"
)

// withShells is a harness whose driver has processes that wait.
func withShells(t *testing.T, program func(*fakeBox, sandbox.Process), change ...func(*Options)) *harness {
	t.Helper()
	h := newHarness(t, program, append([]func(*Options){func(o *Options) { o.Shells, o.ShellMemory = 2, 1<<30 }}, change...)...)
	h.driver.waits = true
	return h
}

func value(t *testing.T, m prometheus.Metric) int {
	t.Helper()
	var d dto.Metric
	if err := m.Write(&d); err != nil {
		t.Fatal(err)
	}
	return int(d.GetCounter().GetValue() + d.GetGauge().GetValue())
}

func (h *harness) outcome(what string) int {
	n := 0
	for _, rt := range []string{"fake-provided.al2023", "none"} {
		n += value(h.driver.t, h.Metrics.ShellsTotal.WithLabelValues(rt, what))
	}
	return n
}

// waitShells polls: that a shell is ready shows nowhere else.
func (h *harness) waitShells(t *testing.T, n int) {
	t.Helper()
	h.eventually(t, func() bool { return h.readyShells() == n }, "%d shells ready", n)
}

func (h *harness) readyShells() int {
	h.shells.mu.Lock()
	defer h.shells.mu.Unlock()
	n := 0
	for _, k := range h.shells.kinds {
		n += len(k.ready)
	}
	return n
}

func (h *harness) kinds() int {
	h.shells.mu.Lock()
	defer h.shells.mu.Unlock()
	return len(h.shells.kinds)
}

func (h *harness) eventually(t *testing.T, f func() bool, what string, args ...any) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: "+what, args...)
		}
	}
}

func TestShellBecomesAnInstance(t *testing.T) {
	envs := make(chan []string, 10)
	h := withShells(t, func(b *fakeBox, p sandbox.Process) {
		envs <- slices.Sorted(slices.Values(p.Env))
		if p.Dir != bootstrap.TaskRoot {
			t.Errorf("runs in %q", p.Dir)
		}
		echo(b, p)
	})
	defer h.stop(t)
	v := version("f")
	v.Environment = map[string]string{"TABLE": "orders"}
	first, _ := h.call(t, v, "1") // the ordinary way
	if first.box.(fakePrestarter).prestarted {
		t.Error("there was a shell before there was a function")
	}
	h.waitShells(t, 2)
	second, out := h.start1(t, v)
	box := second.box.(fakePrestarter)
	if !box.prestarted || out.Usage.Status != "success" || out.Usage.InitTime <= 0 {
		t.Errorf("prestarted %v, status %s, init %v", box.prestarted, out.Usage.Status, out.Usage.InitTime)
	}
	if m := box.binding.Mounts; len(m) != 1 || m[0].Target != bootstrap.TaskRoot {
		t.Errorf("bound with %v", m)
	}
	a, b := <-envs, <-envs
	differs := func(s string) bool { return strings.HasPrefix(s, "AWS_LAMBDA_LOG_STREAM_NAME=") }
	if a, b = slices.DeleteFunc(a, differs), slices.DeleteFunc(b, differs); !slices.Equal(a, b) {
		t.Errorf("environment\n%q\nin a shell\n%q", a, b)
	}
	if got := []int{h.outcome("missed"), h.outcome("used")}; !slices.Equal(got, []int{1, 1}) {
		t.Errorf("missed and used: %v", got)
	}
	h.waitShells(t, 2) // and again
}

// start1 runs an invocation on an instance of its own.
func (h *harness) start1(t *testing.T, v *mayfly.Version) (*Lease, *Outcome) {
	t.Helper()
	g, err := h.group(v)
	if err != nil {
		t.Fatal(err)
	}
	i, queued, err := h.Pool.start(t.Context(), g, v)
	if err != nil {
		t.Fatal(err)
	}
	l := &Lease{Instance: i, Cold: true, Queued: queued}
	return l, l.Invoke(&mayfly.Invocation{RequestID: "req", Version: v, Payload: []byte("1")})
}

func TestShellsAreUsedOnce(t *testing.T) {
	h := withShells(t, echo)
	defer h.stop(t)
	h.Expect(version("f"))
	h.waitShells(t, 2)
	boxes := map[string]string{}
	for _, name := range []string{"a", "b", "c", "a", "b", "c"} {
		v := version(name)
		v.RevisionID = "r" + boxes[name]
		l, _ := h.start1(t, v)
		if other, used := boxes[l.box.ID()]; used {
			t.Errorf("%s and %s run in the same sandbox", name, other)
		}
		boxes[l.box.ID()] = name
	}
}

func TestFunctionThatCannotUseAProcessGetsAnEmptyShell(t *testing.T) {
	h := withShells(t, echo)
	defer h.stop(t)
	v := version("f")
	v.Environment = map[string]string{"NODE_OPTIONS": "--require=x"}
	h.Expect(v)
	h.waitShells(t, 2)
	l, out := h.start1(t, v)
	if box := l.box.(fakePrestarter); box.prestarted || len(box.binding.Mounts) != 2 || out.Usage.Status != "success" {
		t.Errorf("prestarted %v, bound %v, %s", box.prestarted, box.binding.Mounts, out.Usage.Status)
	}
	if h.outcome("used") != 1 {
		t.Error("no shell was used")
	}
}

func TestDriverWithoutPrestart(t *testing.T) {
	h := withShells(t, echo)
	h.driver.waits = false
	defer h.stop(t)
	h.Expect(version("f"))
	h.waitShells(t, 2)
	if _, out := h.start1(t, version("f")); out.Usage.Status != "success" || h.outcome("used") != 1 {
		t.Errorf("%s with %d shells used", out.Usage.Status, h.outcome("used"))
	}
}

// A shell that is broken shows in no answer.
func TestBrokenShells(t *testing.T) {
	var broken atomic.Bool
	for name, prepare := range map[string]func(h *harness){
		"cannot be bound": func(h *harness) {
			h.driver.bind = func(b *fakeBox) error {
				if b.prestarted {
					return errors.New("cannot be bound")
				}
				return nil
			}
		},
		"has ended": func(h *harness) {
			h.driver.boot = func(b *fakeBox) bool { return !broken.Load() }
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := withShells(t, echo)
			defer h.stop(t)
			prepare(h)
			h.Expect(version("f"))
			h.waitShells(t, 2)
			if name == "has ended" {
				h.shells.mu.Lock()
				for _, k := range h.shells.kinds {
					for _, sh := range k.ready {
						close(sh.box.(fakePrestarter).killed) // Destroy does so too
						<-sh.box.Done()
						sh.box.(fakePrestarter).once.Do(func() { h.driver.live.Add(-1) })
					}
				}
				h.shells.mu.Unlock()
			}
			l, out := h.start1(t, version("f"))
			if out.Usage.Status != "success" || l.box.(fakePrestarter).prestarted {
				t.Errorf("status %s, in a shell %v", out.Usage.Status, l.box.(fakePrestarter).prestarted)
			}
		})
	}
}

func TestShellThatDoesNotBoot(t *testing.T) {
	h := withShells(t, echo)
	defer h.stop(t)
	h.driver.boot = func(*fakeBox) bool { return false }
	h.Expect(version("f"))
	h.eventually(t, func() bool { return h.outcome("failed") == 1 && h.driver.live.Load() == 0 }, "a failure that leaves nothing")
	if _, out := h.start1(t, version("f")); out.Usage.Status != "success" {
		t.Errorf("status %s", out.Usage.Status)
	}
	if n := h.outcome("failed"); n != 1 {
		t.Errorf("tried again at once: %d failures", n)
	}
}

func TestShellsEndWithoutUse(t *testing.T) {
	h := withShells(t, echo, func(o *Options) { o.IdleTimeout = 300 * time.Millisecond })
	defer h.stop(t)
	h.Expect(version("f"))
	h.waitShells(t, 2)
	h.eventually(t, func() bool { return h.driver.live.Load() == 0 && h.kinds() == 0 }, "no shells")
	if n := h.outcome("expired"); n != 2 {
		t.Errorf("%d expired", n)
	}
	if n := value(t, h.Metrics.Shells.WithLabelValues("fake-provided.al2023")); n != 0 {
		t.Errorf("%d shells are counted", n)
	}
}

// Each shell of the fake driver holds 1 MB.
func TestShellsKeepToTheirBudget(t *testing.T) {
	h := withShells(t, echo, func(o *Options) { o.ShellMemory = 3 << 20 })
	defer h.stop(t)
	other := version("g")
	other.Environment = map[string]string{"LD_PRELOAD": "x"} // another kind
	h.Expect(version("f"))
	h.waitShells(t, 2)
	h.Expect(other)
	h.eventually(t, func() bool { return h.outcome("evicted") == 1 }, "one makes room")
	h.waitShells(t, 3)
	h.shells.mu.Lock()
	defer h.shells.mu.Unlock()
	empty := 0
	for _, k := range h.shells.kinds {
		if k.runtime == "none" {
			empty = len(k.ready)
		}
	}
	if h.shells.size != 3<<20 || empty != 2 {
		t.Errorf("%d bytes, %d empty shells", h.shells.size, empty)
	}
}

func TestNoShellIsMadeWhileAnInstanceStarts(t *testing.T) {
	h := withShells(t, echo)
	defer h.stop(t)
	done := h.shells.booting()
	h.Expect(version("f"))
	k, wait := h.shells.next()
	if k != nil || wait > shellPatience {
		t.Errorf("to make: %v, to wait: %v", k, wait)
	}
	done()
	if k, wait := h.shells.next(); k != nil || wait > shellQuiet {
		t.Errorf("right after: to make: %v, to wait: %v", k, wait)
	}
	h.waitShells(t, 2)
}

func TestKindsWithoutShellsComeFirst(t *testing.T) {
	h := newHarness(t, echo, func(o *Options) { o.Shells, o.ShellMemory = 2, 1<<30 })
	defer h.stop(t)
	s := newShells(h.Pool)
	now := h.now()
	busy := &kind{key: "busy", ready: make([]*shell, 1), used: now, lacks: now.Add(-time.Minute)}
	starved := &kind{key: "starved", used: now.Add(-time.Second), lacks: now.Add(-time.Minute)}
	s.kinds[busy.key], s.kinds[starved.key] = busy, starved
	if k, _ := s.next(); k != starved {
		t.Errorf("the next shell is for %+v, not for the kind that has none", k)
	}
	starved.ready = make([]*shell, 1)
	if k, _ := s.next(); k != busy {
		t.Errorf("with one each the next shell is for %+v, not for the kind used last", k)
	}
}
