package simulate

import (
	"slices"
	"time"

	"mayfly/scaling"
)

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
