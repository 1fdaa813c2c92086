package invoke

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mayfly"
)

func named(name string) mayfly.FunctionID {
	return mayfly.FunctionID{Account: "000000000000", Region: "us-east-1", Name: name}
}

func latest(name string) *mayfly.Version {
	return &mayfly.Version{ID: named(name), Version: mayfly.Latest}
}

// reservations is what a registry would say of the account's functions.
type reservations struct {
	mu          sync.Mutex
	m           map[string]int
	provisioned map[string]int // by version
}

func (r *reservations) Provisioned(v *mayfly.Version) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, reserved := r.m[v.ID.Name]; reserved {
		return 0
	}
	return r.provisioned[v.Version]
}

func (r *reservations) Reserved(id mayfly.FunctionID) (n int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, ok = r.m[id.Name]
	return n, ok
}

func (r *reservations) SetAside(string, string) (sum int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.m {
		sum += n
	}
	for _, n := range r.provisioned {
		sum += n
	}
	return sum
}

func (r *reservations) set(name string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n < 0 {
		delete(r.m, name)
	} else {
		r.m[name] = n
	}
}

func admitter(limit, perSecond int, reserved map[string]int) (*Invoker, *reservations) {
	n := newInvoker(func(l *mayfly.Limits) { l.ConcurrentExecutions, l.RequestsPerConcurrency = limit, perSecond })
	r := &reservations{m: reserved}
	if reserved != nil {
		n.reservations = r
	}
	return n, r
}

func reasonOf(t *testing.T, err error) string {
	t.Helper()
	var e *mayfly.Error
	if !errors.As(err, &e) || e.Kind != mayfly.KindThrottled || e.RetryAfter <= 0 || e.Message != "Rate Exceeded." {
		t.Fatalf("refused with %#v", err)
	}
	return e.Reason
}

// TestLimitsAreHitExactly: of 200 callers at once, each limit lets in as many as it says.
func TestLimitsAreHitExactly(t *testing.T) {
	const callers = 200
	for _, tc := range []struct {
		name, function string
		reserved       map[string]int
		want           int64
		reason         string
	}{
		{"account", "f", nil, 30, "ConcurrentInvocationLimitExceeded"},
		{"what others have reserved is not there", "f", map[string]int{"g": 20}, 10, "ConcurrentInvocationLimitExceeded"},
		{"reserved", "g", map[string]int{"g": 7}, 7, "ReservedFunctionConcurrentInvocationLimitExceeded"},
		{"turned off", "g", map[string]int{"g": 0}, 0, "ReservedFunctionConcurrentInvocationLimitExceeded"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n, _ := admitter(30, 0, tc.reserved)
			var admitted atomic.Int64
			hold := make(chan struct{})
			var tried, ended sync.WaitGroup
			tried.Add(callers)
			for range callers {
				ended.Go(func() {
					admission, err := n.admit(latest(tc.function))
					if err != nil {
						if reason := reasonOf(t, err); reason != tc.reason {
							t.Errorf("refused for %s, want %s", reason, tc.reason)
						}
						tried.Done()
						return
					}
					admitted.Add(1)
					tried.Done()
					<-hold
					admission.done()
				})
			}
			tried.Wait()
			if got := admitted.Load(); got != tc.want || n.Concurrency("000000000000", "us-east-1") != int(tc.want) {
				t.Errorf("%d admitted and %d counted, want %d", got, n.Concurrency("000000000000", "us-east-1"), tc.want)
			}
			other := named(tc.function)
			other.Region = "eu-west-1"
			if _, err := n.admit(&mayfly.Version{ID: other, Version: mayfly.Latest}); err != nil && tc.reserved == nil {
				t.Errorf("another region was refused: %v", err)
			}
			close(hold)
			ended.Wait()
			if c := n.Concurrency("000000000000", "us-east-1"); c != 0 {
				t.Errorf("%d invocations counted after all have ended", c)
			}
		})
	}
}

// TestLimitsHoldWhileReservationsChange calls from 200 sides for a while, as reservations come and go.
func TestLimitsHoldWhileReservationsChange(t *testing.T) {
	const limit, always = 40, 5
	n, r := admitter(limit, 0, map[string]int{"fixed": always})
	var all, fixed, admitted atomic.Int64
	var wg sync.WaitGroup
	for caller := range 200 {
		wg.Go(func() {
			for round := range 200 {
				name := fmt.Sprint("f", caller%7)
				if caller%4 == 0 {
					name = "fixed"
				}
				if caller == 1 {
					r.set("f3", round%12-1)
				}
				admission, err := n.admit(latest(name))
				if err != nil {
					continue
				}
				admitted.Add(1)
				if c := all.Add(1); c > limit {
					t.Errorf("%d at once, more than the account's %d", c, limit)
				}
				if name == "fixed" && fixed.Add(1) > always {
					t.Errorf("more at once than the reserved %d", always)
				}
				if rand.IntN(4) == 0 {
					time.Sleep(10 * time.Microsecond)
				}
				if name == "fixed" {
					fixed.Add(-1)
				}
				all.Add(-1)
				admission.done()
			}
		})
	}
	wg.Wait()
	d := n.desks[place{"000000000000", "us-east-1"}]
	r.set("f3", -1)
	for i := range 7 { // each function's next invocation settles where it is counted
		if a, err := n.admit(latest(fmt.Sprint("f", i))); err == nil {
			a.done()
		}
	}
	if d.total != 0 || d.shared != 0 || admitted.Load() == 0 {
		t.Errorf("after all: %d under way, %d of them shared; %d were admitted", d.total, d.shared, admitted.Load())
	}
}

// TestReservationMovesWhatIsUnderWay: what a function runs when it gets a reservation counts against that.
func TestReservationMovesWhatIsUnderWay(t *testing.T) {
	n, r := admitter(10, 0, map[string]int{})
	var running []ticket
	enter := func(name, reason string) {
		t.Helper()
		a, err := n.admit(latest(name))
		switch {
		case err == nil && reason == "":
			running = append(running, a)
		case err == nil:
			t.Fatalf("%s was admitted, want %s", name, reason)
		case reasonOf(t, err) != reason:
			t.Fatalf("%s was refused for %s, want %q", name, reasonOf(t, err), reason)
		}
	}
	for range 4 {
		enter("f", "")
	}
	r.set("f", 4)
	enter("f", "ReservedFunctionConcurrentInvocationLimitExceeded")
	for range 6 {
		enter("g", "")
	}
	enter("g", "ConcurrentInvocationLimitExceeded")
	r.set("f", -1)
	enter("f", "ConcurrentInvocationLimitExceeded")
	running[0].done()
	enter("g", "")
	for _, a := range running[1:] {
		a.done()
	}
	if d := n.desks[place{"000000000000", "us-east-1"}]; d.total != 0 || d.shared != 0 {
		t.Errorf("%d under way, %d shared after all have ended", d.total, d.shared)
	}
}

// TestProvisionedSpillsOver: a version's provisioned concurrency is its own, and what goes beyond it is shared.
func TestProvisionedSpillsOver(t *testing.T) {
	n, r := admitter(10, 0, map[string]int{})
	r.provisioned = map[string]int{"1": 4}
	one := &mayfly.Version{ID: named("f"), Version: "1"}
	fill := func(v *mayfly.Version) (held []ticket) {
		for {
			a, err := n.admit(v)
			if err != nil {
				if reason := reasonOf(t, err); reason != "ConcurrentInvocationLimitExceeded" {
					t.Errorf("refused for %s", reason)
				}
				return held
			}
			held = append(held, a)
		}
	}
	others := fill(latest("g"))
	if len(others) != 6 {
		t.Errorf("%d invocations of another function, want the 6 that are not provisioned", len(others))
	}
	own := fill(one)
	if len(own) != 4 {
		t.Errorf("%d invocations beside them, want the provisioned 4", len(own))
	}
	for _, a := range others {
		a.done()
	}
	spilled := fill(one)
	if len(spilled) != 6 {
		t.Errorf("%d invocations spilled over, want 6", len(spilled))
	}
	r.set("f", 3) // takes the provisioned ones in
	for _, a := range append(own, spilled...) {
		a.done()
	}
	if got := mostAtOnce(t, n, one); got != 3 {
		t.Errorf("%d invocations of a function with a reservation of 3", got)
	}
	if d := n.desks[place{"000000000000", "us-east-1"}]; d.total != 0 || d.shared != 0 {
		t.Errorf("%d under way, %d shared after all have ended", d.total, d.shared)
	}
}

// mostAtOnce counts how many invocations are admitted at once, and ends them.
func mostAtOnce(t *testing.T, n *Invoker, v *mayfly.Version) (admitted int) {
	for {
		a, err := n.admit(v)
		if err != nil {
			reasonOf(t, err)
			return admitted
		}
		admitted++
		defer a.done()
	}
}

func TestRequestsPerSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _ := admitter(10, 10, map[string]int{"own": 2})
		count := func(name, reason string) (admitted int) {
			for {
				a, err := n.admit(latest(name))
				if err != nil {
					if got := reasonOf(t, err); got != reason {
						t.Fatalf("%s was refused for %s, want %s", name, got, reason)
					}
					return admitted
				}
				a.done()
				admitted++
			}
		}
		shared := func() int { return count("f", "FunctionInvocationRateLimitExceeded") }
		own := func() int { return count("own", "ReservedFunctionInvocationRateLimitExceeded") }
		if got := shared(); got != 80 { // 10 for each of 10 - 2
			t.Errorf("%d requests at once, want 80", got)
		}
		if got := own(); got != 20 {
			t.Errorf("%d requests of the function with a reservation at once, want 20", got)
		}
		time.Sleep(500 * time.Millisecond)
		if s, o := shared(), own(); s != 40 || o != 10 {
			t.Errorf("%d and %d requests after half a second, want 40 and 10", s, o)
		}
		time.Sleep(time.Hour)
		if s, o := shared(), own(); s != 80 || o != 20 {
			t.Errorf("%d and %d requests after an hour, want 80 and 20", s, o)
		}
	})
}

func TestAdmissionForgetsFunctionsAtRest(t *testing.T) {
	n, _ := admitter(10, 0, nil)
	for i := range 10_000 {
		a, err := n.admit(latest(fmt.Sprint("f", i)))
		if err != nil {
			t.Fatal(err)
		}
		a.done()
	}
	if got := len(n.desks[place{"000000000000", "us-east-1"}].functions); got > 200 {
		t.Errorf("%d functions are remembered", got)
	}
	v := latest("f1")
	if allocs := testing.AllocsPerRun(100, func() {
		a, _ := n.admit(v)
		a.done()
	}); allocs != 0 {
		t.Errorf("admission allocates %v times", allocs)
	}
}
