package scaling

import (
	"iter"
	"time"
)

// Load is what a call meets that found no idle instance.
type Load struct {
	Busy       iter.Seq[time.Time] // when each instance that runs a call began with it
	Finishing  int                 // instances about to be free: they have answered, or start without a call of their own
	Waiters    int                 // calls that wait already and come first
	StartDelay time.Duration       // what a start would wait for before it begins: a boot slot, memory to come free
	Full       bool                // nothing can be started: no memory is left
}

// Action is what a call without an idle instance does.
type Action int

// The actions.
const (
	Start    Action = iota // start an instance
	Wait                   // wait for one to come free
	Throttle               // be refused
)

func (a Action) String() string { return [...]string{"start", "wait", "throttle"}[a] }

// Decision is an Action with its reasons.
type Decision struct {
	Action Action
	Start  time.Duration // expected until a started instance could take the call
	Free   time.Duration // Wait: expected until a busy one comes free for it
	// Again is, for Wait, how long to wait at most before asking again, and for Throttle when trying again can succeed (0 is
	// unknown). A wait ends when a start would have ended, so a wrong guess at most doubles what a start would have cost.
	Again time.Duration
}

// Decide says whether a call waits for a busy instance or starts one: whichever is expected to answer sooner, by what was
// measured of this function. A start counts against the scaling rate.
func (f *Scaler) Decide(now time.Time, l Load) Decision {
	d := Decision{Start: f.startTime() + l.StartDelay}
	place := float64(l.Waiters) + 0.5 // a place in the queue is reached when it is as likely as not
	m := f.outlook(now, l)
	if m.freed(d.Start, place) >= place {
		d.Action, d.Free, d.Again = Wait, m.when(place, d.Start), max(d.Start, time.Millisecond)
		return d
	}
	if l.Full {
		return Decision{Action: Throttle, Start: d.Start}
	}
	if ok, retry := f.scale.Take(now); !ok {
		return Decision{Action: Throttle, Start: d.Start, Again: retry}
	}
	return d
}

// outlook foresees busy instances coming free.
type outlook struct {
	finishing float64
	curve     *curve // nil when no call has ended yet
	mean      time.Duration
	elapsed   []time.Duration
	weight    float64 // of each; more than 1 when only some of very many are looked at
}

// lookAt bounds the work of a decision: of more busy instances than twice this many, an even sample is looked at.
const lookAt = 64

func (f *Scaler) outlook(now time.Time, l Load) outlook {
	m := outlook{finishing: float64(l.Finishing), weight: 1}
	if l.Busy == nil {
		return m
	}
	for since := range l.Busy {
		m.elapsed = append(m.elapsed, max(now.Sub(since), 0))
	}
	if f.handlers.Count() == 0 {
		return m
	}
	if n := len(m.elapsed); n >= 2*lookAt {
		step := n / lookAt
		sampled := m.elapsed[:0]
		for i := 0; i < n; i += step {
			sampled = append(sampled, m.elapsed[i])
		}
		m.elapsed, m.weight = sampled, float64(n)/float64(len(sampled))
	}
	m.curve, m.mean = f.handlers.curve(), max(f.handlers.Mean(), time.Microsecond)
	return m
}

// freed is how often an instance is expected to come free within t: each once with the chance that its call ends by then,
// and again with every further call that it has time for. It stops counting at enough.
func (m *outlook) freed(t time.Duration, enough float64) float64 {
	sum := m.finishing
	if m.curve == nil {
		return sum
	}
	for _, e := range m.elapsed {
		sum += m.weight * m.curve.endsWithin(e, t)
	}
	if further := float64(t) / float64(m.mean); sum >= enough || sum*(1+further) < enough { // further calls change nothing
		return sum
	}
	for _, e := range m.elapsed {
		p := m.curve.endsWithin(e, t)
		sum += m.weight * p * float64(max(t-m.curve.remaining(e), 0)) / float64(m.mean)
	}
	return sum
}

// when is the time until freed reaches n, at most limit.
func (m *outlook) when(n float64, limit time.Duration) time.Duration {
	low, high := time.Duration(0), limit
	for high-low > max(limit/64, time.Microsecond) {
		if mid := (low + high) / 2; m.freed(mid, n) >= n {
			high = mid
		} else {
			low = mid
		}
	}
	return high
}
