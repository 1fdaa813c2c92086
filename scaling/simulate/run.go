package simulate

import (
	"context"
	"slices"
	"time"

	"mayfly/scaling"
)

// Config is what one run does with a trace.
type Config struct {
	Policy      scaling.Policy
	Settings    scaling.Settings
	Start       time.Duration  // what a cold start takes, for functions without a start of their own
	Concurrency int            // calls at once; the account's limit
	MemoryMB    int            // the machine's memory for instances; 0 is without end
	Provisioned map[string]int // instances that are always ready, by function
	Everywhere  int            // the same, for functions that Provisioned does not name
	Prices      Prices

	// Log, when set, is told of everything that is decided, with the time since the trace began.
	Log func(at time.Duration, function, what string)
}

// unreserved is the concurrency that Lambda does not let anybody take out of the account's pool
// (https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html).
const unreserved = 100

// Run replays the trace. Equal arguments give equal results.
func Run(ctx context.Context, t *Trace, c Config) (Result, error) {
	m, err := newMachine(t, c)
	if err != nil {
		return Result{}, err
	}
	if err := m.play(ctx, t); err != nil {
		return Result{}, err
	}
	return m.result(), nil
}

// play lets everything happen, in its order, until nothing is left to happen.
func (m *machine) play(ctx context.Context, t *Trace) error {
	for n, next := 0, 0; next < len(t.Calls) || len(m.events.heap) > 0; n++ {
		if n&0xffff == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		// What happens at the same time as an arrival happens first: an instance that comes free takes the call.
		if next == len(t.Calls) || len(m.events.heap) > 0 && m.events.heap[0].at <= t.Calls[next].At {
			e := m.events.pop()
			m.advance(e.at)
			m.handle(e)
			continue
		}
		m.advance(t.Calls[next].At)
		m.arrive(&t.Calls[next])
		next++
	}
	return nil
}

// machine is the pool in virtual time. What it does is what the pool does; what it decides is decided by package scaling.
type machine struct {
	c         Config
	functions []function
	events    events
	now       time.Duration
	end       time.Duration // when the last call is over that did not have to wait
	over      bool          // it is past that, and provisioned concurrency has ended
	inFlight  int           // calls that run on no provisioned instance
	limit     int           // how many of these there may be
	instances int
	usedMB    int
	idleMB    int // of instances that may be evicted
	evictor   scaling.GreedyDual
	tally
}

// function is a group of instances.
type function struct {
	Function
	scaler    *scaling.Scaler
	ready     []*instance // provisioned and idle
	idle      []*instance // a stack: used last is last
	busy      []*instance
	waiters   []*waiter
	unclaimed int // instances that start ahead of a call
	alive     int // instances that are not provisioned
	served    int
	cold      int
	prewarm   int // grows with each call: a pre-warming planned before it is void
}

type state uint8

const (
	starting state = iota
	busy
	idle
	dead
)

type instance struct {
	f           *function
	provisioned bool
	state       state
	since       time.Duration // of the call that runs
	call        *Call
	cold        bool
	began       time.Duration // the start
	slot        int           // in function.busy
	keep        time.Duration // of one that was pre-warmed
	expires     time.Duration
	timer       time.Duration // of the pending expire event; 0 is none
	rest        scaling.Resting
}

type waiter struct {
	f    *function
	call *Call
	gone bool
}

// epoch is the moment that virtual time begins at.
var epoch = time.Unix(0, 0).UTC()

func (m *machine) clock() time.Time { return epoch.Add(m.now) }

func newMachine(t *Trace, c Config) (*machine, error) {
	m := &machine{c: c, functions: make([]function, len(t.Functions)), limit: c.Concurrency}
	for _, call := range t.Calls {
		m.end = max(m.end, call.At+call.Duration)
	}
	m.tally.begin(m.end)
	known := map[string]bool{}
	for i := range m.functions {
		f := &m.functions[i]
		f.Function = t.Functions[i]
		known[f.Name] = true
		if f.Start == 0 {
			f.Start = c.Start
		}
		f.scaler = scaling.New(c.Settings, c.Policy.New(c.Settings))
		n, ok := c.Provisioned[f.Name]
		if !ok {
			n = c.Everywhere
		}
		for range n {
			in := &instance{f: f, provisioned: true, state: idle}
			f.ready = append(f.ready, in)
			m.grow(f)
		}
		m.limit -= n
		m.provisionedMB += n * f.MemoryMB
	}
	for name := range c.Provisioned {
		if !known[name] {
			return nil, invalid("the trace has no function %q to provision", name)
		}
	}
	m.tally.idle(m.provisionedMB)
	if most := max(c.Concurrency-unreserved, 0); m.limit < c.Concurrency-most {
		return nil, invalid("%d provisioned instances are more than the %d that a concurrency of %d allows (%d stay unreserved): provision less or raise the concurrency",
			c.Concurrency-m.limit, most, c.Concurrency, unreserved)
	}
	if c.MemoryMB > 0 && m.usedMB > c.MemoryMB {
		return nil, invalid("the provisioned instances need %d MB, and there are %d: provision less or give more memory", m.usedMB, c.MemoryMB)
	}
	if m.provisionedMB > 0 {
		m.events.push(event{at: m.end, kind: theEnd})
	}
	return m, nil
}

func (m *machine) log(f *function, what string) {
	if m.c.Log != nil {
		m.c.Log(m.now, f.Name, what)
	}
}

// arrive lets a call in and finds it an instance.
func (m *machine) arrive(call *Call) {
	f := &m.functions[call.Function]
	m.invocations++
	f.prewarm++
	if len(f.ready) == 0 && m.inFlight >= m.limit {
		m.throttle(f, "concurrency")
		return
	}
	if err := f.scaler.Admit(m.clock(), m.c.Concurrency); err != nil {
		m.throttle(f, "request rate")
		return
	}
	if n := len(f.ready); n > 0 {
		in := f.ready[n-1]
		f.ready = f.ready[:n-1]
		m.tally.idle(-f.MemoryMB)
		m.run(in, call)
		return
	}
	m.inFlight++
	if n := len(f.idle); n > 0 {
		in := f.idle[n-1]
		f.idle = f.idle[:n-1]
		m.wake(in)
		m.run(in, call)
		return
	}
	m.decide(&waiter{f: f, call: call}, len(f.waiters))
}

// decide asks what a call without an instance does; ahead is how many of its function's calls wait before it.
func (m *machine) decide(w *waiter, ahead int) {
	f := w.f
	d := f.scaler.Decide(m.clock(), scaling.Load{
		Busy: func(yield func(time.Time) bool) {
			for _, in := range f.busy {
				if !yield(epoch.Add(in.since)) {
					return
				}
			}
		},
		Finishing: f.unclaimed,
		Waiters:   ahead,
		Full:      m.c.MemoryMB > 0 && m.usedMB-m.idleMB+f.MemoryMB > m.c.MemoryMB,
	})
	queued := slices.Index(f.waiters, w)
	if d.Action == scaling.Wait {
		if queued < 0 {
			f.waiters = append(f.waiters, w)
			m.log(f, "wait, free in "+d.Free.Round(time.Millisecond).String()+", start "+d.Start.Round(time.Millisecond).String())
		}
		m.events.push(event{at: m.now + d.Again, kind: again, waiter: w})
		return
	}
	if queued >= 0 {
		f.waiters = slices.Delete(f.waiters, queued, queued+1)
	}
	w.gone = true
	if d.Action == scaling.Throttle || !m.room(f, true) {
		m.inFlight--
		f.scaler.Left(m.clock(), 0)
		m.throttle(f, "scaling rate or memory")
		return
	}
	m.log(f, "start")
	m.start(f, w.call)
}

// room makes sure that the memory for an instance is there, by eviction when that is allowed.
func (m *machine) room(f *function, evict bool) bool {
	short := m.usedMB + f.MemoryMB - m.c.MemoryMB
	if m.c.MemoryMB == 0 || short <= 0 {
		return true
	}
	if !evict {
		return false
	}
	gone, ok := m.evictor.Evict(short)
	for _, r := range gone {
		in := r.Owner.(*instance)
		m.log(in.f, "evict")
		m.evictions++
		m.unrest(in)
		m.destroy(in)
	}
	return ok
}

// start begins a start, for a call or, when call is nil, ahead of one.
func (m *machine) start(f *function, call *Call) *instance {
	in := &instance{f: f, call: call, cold: true, began: m.now}
	in.rest.SizeMB, in.rest.Owner = f.MemoryMB, in
	f.alive++
	m.grow(f)
	m.events.push(event{at: m.now + f.Start, kind: started, instance: in})
	return in
}

func (m *machine) grow(f *function) {
	m.instances++
	m.usedMB += f.MemoryMB
	m.tally.grow(f.MemoryMB, m.instances, m.usedMB)
}

// run lets an instance run a call. The call has waited since its arrival.
func (m *machine) run(in *instance, call *Call) {
	f := in.f
	if d := m.now - call.At; d > 0 {
		m.delays = append(m.delays, d)
		if !in.cold {
			m.waited++
		}
	}
	f.served++
	init := time.Duration(0)
	if in.cold {
		m.coldStarts++
		f.cold++
		init = f.Start
	}
	m.bill(f, init, call.Duration, in.provisioned)
	in.state, in.call, in.cold, in.since, in.slot = busy, call, false, m.now, len(f.busy)
	f.busy = append(f.busy, in)
	m.events.push(event{at: m.now + call.Duration, kind: done, instance: in})
}

func (m *machine) handle(e event) {
	switch e.kind {
	case started:
		m.started(e.instance)
	case done:
		m.done(e.instance)
	case expire:
		m.expired(e.instance)
	case again:
		if !e.waiter.gone {
			m.decide(e.waiter, slices.Index(e.waiter.f.waiters, e.waiter))
		}
	case prewarm:
		m.prewarmed(e.f, e.generation, e.keep)
	case theEnd:
		m.retire()
	}
}

func (m *machine) started(in *instance) {
	f := in.f
	f.scaler.Started(m.now - in.began)
	if call := in.call; call != nil {
		m.run(in, call)
		return
	}
	f.unclaimed--
	in.cold = false
	if !m.serveWaiter(in) {
		m.rest(in, scaling.Window{Keep: in.keep})
	}
}

// serveWaiter gives a free instance to the call that has waited longest.
func (m *machine) serveWaiter(in *instance) bool {
	f := in.f
	if len(f.waiters) == 0 {
		return false
	}
	w := f.waiters[0]
	f.waiters = slices.Delete(f.waiters, 0, 1)
	w.gone = true
	if in.provisioned {
		m.inFlight-- // what runs there is not of the unreserved pool
	}
	m.run(in, w.call)
	return true
}

func (m *machine) done(in *instance) {
	f := in.f
	last := len(f.busy) - 1
	f.busy[in.slot] = f.busy[last]
	f.busy[in.slot].slot = in.slot
	f.busy = f.busy[:last]
	f.scaler.Left(m.clock(), in.call.Duration)
	if !in.provisioned {
		m.inFlight--
	}
	in.call = nil
	switch {
	case m.serveWaiter(in):
	case in.provisioned && m.over:
		m.destroy(in)
	case in.provisioned:
		in.state = idle
		f.ready = append(f.ready, in)
		m.tally.idle(f.MemoryMB)
	default:
		m.rest(in, f.scaler.Rest())
	}
}

// rest does with an instance that is free what the policy says.
func (m *machine) rest(in *instance, w scaling.Window) {
	f := in.f
	if w.Prewarm > 0 {
		f.prewarm++
		m.events.push(event{at: m.now + w.Prewarm, kind: prewarm, f: f, generation: f.prewarm, keep: w.Keep})
	}
	if w.Prewarm > 0 || w.Keep <= 0 {
		what := "go"
		if w.Prewarm > 0 {
			what += ", prewarm in " + w.Prewarm.String()
		}
		m.log(f, what)
		m.destroy(in)
		return
	}
	in.state, in.expires = idle, m.now+w.Keep
	f.idle = append(f.idle, in)
	m.idleMB += f.MemoryMB
	m.tally.idle(f.MemoryMB)
	if m.c.MemoryMB > 0 {
		m.evictor.Rest(&in.rest, f.scaler.Worth(f.MemoryMB))
	}
	if in.timer == 0 || in.expires < in.timer {
		in.timer = in.expires
		m.events.push(event{at: in.expires, kind: expire, instance: in})
	}
}

// wake takes an idle instance out of rest; it is no longer on the function's stack.
func (m *machine) wake(in *instance) {
	m.evictor.Wake(&in.rest)
	m.idleMB -= in.f.MemoryMB
	m.tally.idle(-in.f.MemoryMB)
}

// unrest takes an idle instance off its function's stack too.
func (m *machine) unrest(in *instance) {
	n := slices.Index(in.f.idle, in)
	in.f.idle = slices.Delete(in.f.idle, n, n+1)
	m.wake(in)
}

// expired looks whether an instance's time is up. Its timer is not moved with every call, so it may fire too early.
func (m *machine) expired(in *instance) {
	if in.timer != m.now { // an earlier one took its place
		return
	}
	in.timer = 0
	switch {
	case in.state != idle:
	case in.expires > m.now:
		in.timer = in.expires
		m.events.push(event{at: in.expires, kind: expire, instance: in})
	default:
		m.log(in.f, "expire")
		m.unrest(in)
		m.destroy(in)
	}
}

func (m *machine) destroy(in *instance) {
	f := in.f
	in.state = dead
	m.instances--
	m.usedMB -= f.MemoryMB
	m.tally.shrink(f.MemoryMB)
	if !in.provisioned {
		if f.alive--; f.alive == 0 {
			f.scaler.Emptied()
		}
	}
}

// prewarmed makes an instance ahead of the next call, unless one came meanwhile. Nothing is evicted for a guess.
func (m *machine) prewarmed(f *function, generation int, keep time.Duration) {
	if generation != f.prewarm || f.alive > 0 || !m.room(f, false) {
		return
	}
	m.log(f, "prewarm")
	m.prewarms++
	f.unclaimed++
	m.start(f, nil).keep = keep
}

// retire ends provisioned concurrency with the trace.
func (m *machine) retire() {
	m.over = true
	for i := range m.functions {
		f := &m.functions[i]
		for _, in := range f.ready {
			m.tally.idle(-f.MemoryMB)
			m.destroy(in)
		}
		f.ready = nil
	}
}

func (m *machine) throttle(f *function, why string) {
	m.throttled++
	m.log(f, "throttle: "+why)
}
