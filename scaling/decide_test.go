package scaling

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var t0 = time.Unix(1_000_000, 0)

const ms = time.Millisecond

// measured makes a Scaler that has seen starts and calls take so long.
func measured(start time.Duration, handlers ...time.Duration) *Scaler {
	f := New(DefaultSettings(), Fixed(time.Minute))
	for range 100 {
		f.Started(start)
		for _, h := range handlers {
			f.handlers.Add(h)
		}
	}
	return f
}

func busyFor(elapsed ...time.Duration) Load {
	var since []time.Time
	for _, e := range elapsed {
		since = append(since, t0.Add(-e))
	}
	return Load{Busy: slices.Values(since)}
}

func TestWaitOrStart(t *testing.T) {
	with := func(l Load, change func(*Load)) Load { change(&l); return l }
	for _, c := range []struct {
		name string
		f    *Scaler
		load Load
		want Action
	}{
		{"nothing is known", New(DefaultSettings(), Fixed(0)), busyFor(), Start},
		{"no call has ended yet", New(DefaultSettings(), Fixed(0)), busyFor(10 * ms), Start},
		{"nobody is busy", measured(200*ms, 10*ms), busyFor(), Start},
		{"the call that runs is short", measured(200*ms, 10*ms), busyFor(5 * ms), Wait},
		{"the call that runs is long", measured(200*ms, 10*time.Second), busyFor(5 * ms), Start},
		{"the call that runs is long and almost over", measured(500*ms, 10*time.Second), busyFor(9900 * ms), Wait},
		{"it should have ended long ago", measured(200*ms, 10*ms), busyFor(time.Hour), Start},
		{"starting is quicker", measured(2*ms, 10*ms), busyFor(1 * ms), Start},
		{"one has just answered", measured(2*ms, 10*time.Second), with(busyFor(), func(l *Load) { l.Finishing = 1 }), Wait},
		{"one has just answered, for another who waits", measured(2*ms, 10*time.Second),
			with(busyFor(), func(l *Load) { l.Finishing, l.Waiters = 1, 1 }), Start},
		{"short calls, few wait", measured(200*ms, 10*ms), with(busyFor(5*ms), func(l *Load) { l.Waiters = 10 }), Wait},
		{"short calls, many wait", measured(200*ms, 10*ms), with(busyFor(5*ms), func(l *Load) { l.Waiters = 50 }), Start},
		{"a start has to wait itself", measured(2*ms, 10*ms), with(busyFor(1*ms), func(l *Load) { l.StartDelay = time.Second }), Wait},
		{"memory is full", measured(200*ms, 10*time.Second), with(busyFor(5*ms), func(l *Load) { l.Full = true }), Throttle},
		{"memory is full, and one is about to be free", measured(200*ms, 10*ms), with(busyFor(5*ms), func(l *Load) { l.Full = true }), Wait},
		{"two kinds of calls, this is a short one", measured(200*ms, 10*ms, 10*ms, 10*ms, 10*time.Second), busyFor(1 * ms), Wait},
		{"two kinds of calls, this is a long one", measured(200*ms, 10*ms, 10*ms, 10*ms, 10*time.Second), busyFor(100 * ms), Start},
		{"many busy ones: one of them ends soon", measured(200*ms, 2*time.Second), busyFor(100*ms, 500*ms, 1900*ms), Wait},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := c.f.Decide(t0, c.load)
			if d.Action != c.want {
				t.Errorf("%v, want %v (%v; %+v)", d.Action, c.want, c.f, d)
			}
			if d.Action == Wait && (d.Free > d.Start || d.Again < d.Start) {
				t.Errorf("waits %v at most for what comes free in %v, where a start takes %v", d.Again, d.Free, d.Start)
			}
		})
	}
}

// More instances or a slower start never make a call start one that would have waited; more who wait never make it wait.
func TestDecideIsMonotonous(t *testing.T) {
	draw := rand.New(rand.NewPCG(3, 9))
	for range 2000 {
		handler := time.Duration(1+draw.IntN(2000)) * ms
		start := time.Duration(1+draw.IntN(1000)) * ms
		f := measured(start, handler/2, handler, handler*2)
		var elapsed []time.Duration
		for range draw.IntN(8) {
			elapsed = append(elapsed, time.Duration(draw.Int64N(int64(3*handler))))
		}
		l := busyFor(elapsed...)
		l.Waiters = draw.IntN(5)
		action := func(l Load) Action { g := *f; return g.Decide(t0, l).Action }
		was := action(l)
		more, slower, fewer := busyFor(append(elapsed, time.Duration(draw.Int64N(int64(3*handler))))...), l, l
		more.Waiters = l.Waiters
		slower.StartDelay = time.Duration(draw.IntN(1000)) * ms
		fewer.Waiters = draw.IntN(l.Waiters + 1)
		if was == Wait && (action(more) != Wait || action(slower) != Wait || action(fewer) != Wait) {
			t.Fatalf("%v: waits with %d busy, %d ahead, but %v with one more, %v when a start is later by %v, %v with %d ahead",
				f, len(elapsed), l.Waiters, action(more), action(slower), slower.StartDelay, action(fewer), fewer.Waiters)
		}
	}
}

// A decision looks at a sample of very many busy instances and decides the same.
func TestManyBusyInstances(t *testing.T) {
	for n := range 3 {
		var elapsed []time.Duration
		for i := range 1000 {
			elapsed = append(elapsed, time.Duration(i)*ms)
		}
		f := measured(100*ms, time.Second)
		l := busyFor(elapsed...)
		l.Waiters = []int{10, 60, 900}[n] // about 100 come free within a start
		if d := f.Decide(t0, l); (d.Action == Wait) != (n < 2) {
			t.Errorf("with %d ahead: %+v", l.Waiters, d)
		}
	}
}

func TestScalingRate(t *testing.T) {
	f := measured(2*ms, 10*time.Second)
	starts := func(now time.Time) (n int, d Decision) {
		for {
			if d = f.Decide(now, busyFor()); d.Action != Start {
				return n, d
			}
			n++
		}
	}
	n, d := starts(t0)
	if n != 1000 || d.Action != Throttle || d.Again != 10*ms {
		t.Errorf("%d starts at once, then %+v", n, d)
	}
	if n, _ := starts(t0.Add(5 * time.Second)); n != 500 {
		t.Errorf("%d more after five seconds", n)
	}
	if n, _ := starts(t0.Add(time.Hour)); n != 1000 {
		t.Errorf("%d more after an hour", n)
	}
	if d := f.Decide(t0.Add(time.Hour), Load{Finishing: 1}); d.Action != Wait {
		t.Errorf("a call that better waits needs no token: %+v", d)
	}
}

func TestRequestRate(t *testing.T) {
	f := New(DefaultSettings(), Fixed(0))
	admitted := func(now time.Time, concurrency int) (n int) {
		for {
			err := f.Admit(now, concurrency)
			if err != nil {
				if err.RetryAfter <= 0 && concurrency > 0 {
					t.Errorf("refused without a time to try again: %+v", err)
				}
				return n
			}
			n++
		}
	}
	if n := admitted(t0, 7); n != 70 {
		t.Errorf("%d calls at once with a concurrency of 7", n)
	}
	if n := admitted(t0.Add(time.Second/2), 7); n != 35 {
		t.Errorf("%d more after half a second", n)
	}
	if n := admitted(t0.Add(time.Minute), 1000); n != 10_000 {
		t.Errorf("%d calls at once with a concurrency of 1,000", n)
	}
	if n := admitted(t0.Add(time.Hour), 0); n != 0 {
		t.Errorf("%d calls with no concurrency", n)
	}
	if f.InFlight() != 70+35+10_000 {
		t.Errorf("%d in flight", f.InFlight())
	}
}
