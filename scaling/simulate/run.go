package simulate

import (
	"context"
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
