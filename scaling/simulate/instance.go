package simulate

import (
	"slices"
	"time"

	"mayfly/scaling"
)

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
