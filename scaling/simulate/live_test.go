package simulate

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/scaling"
)

// live is a small pool with goroutines, locks and timers, the way a server would use a Scaler.
type live struct {
	scaler *scaling.Scaler
	start  time.Duration

	mu      sync.Mutex
	idle    []*time.Timer // a stack; each ends an instance
	busy    []*time.Time
	waiters []chan struct{}
	alive   int
	cold    int
	delays  []time.Duration
}

func (l *live) call(handler time.Duration) {
	arrived := time.Now()
	l.mu.Lock()
	if l.scaler.Admit(arrived, 1000) != nil {
		panic("refused")
	}
	switch n := len(l.idle); {
	case n > 0:
		l.idle[n-1].Stop()
		l.idle = l.idle[:n-1]
	case l.mustStart():
		l.cold++
		l.alive++
		l.mu.Unlock()
		time.Sleep(l.start)
		l.mu.Lock()
		l.scaler.Started(l.start)
	}
	began := time.Now()
	l.busy = append(l.busy, &began)
	if d := began.Sub(arrived); d > 0 {
		l.delays = append(l.delays, d)
	}
	l.mu.Unlock()
	time.Sleep(handler)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy = slices.DeleteFunc(l.busy, func(b *time.Time) bool { return b == &began })
	l.scaler.Left(time.Now(), handler)
	if len(l.waiters) > 0 {
		l.waiters[0] <- struct{}{}
		l.waiters = l.waiters[1:]
		return
	}
	var end *time.Timer
	end = time.AfterFunc(l.scaler.Rest().Keep, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.idle = slices.DeleteFunc(l.idle, func(t *time.Timer) bool { return t == end })
		l.alive--
	})
	l.idle = append(l.idle, end)
}

// mustStart decides, and waits if that is the decision; the lock is held when it is called and when it returns. It reports
// false once an instance came free.
func (l *live) mustStart() bool {
	w := make(chan struct{}, 1)
	for ahead := len(l.waiters); ; ahead = slices.Index(l.waiters, w) {
		d := l.scaler.Decide(time.Now(), scaling.Load{Waiters: ahead, Busy: func(yield func(time.Time) bool) {
			for _, b := range l.busy {
				if !yield(*b) {
					return
				}
			}
		}})
		if d.Action == scaling.Start {
			l.waiters = slices.DeleteFunc(l.waiters, func(c chan struct{}) bool { return c == w })
			return true
		}
		if ahead == len(l.waiters) {
			l.waiters = append(l.waiters, w)
		}
		l.mu.Unlock()
		select {
		case <-w:
			l.mu.Lock()
			return false
		case <-time.After(d.Again):
		}
		l.mu.Lock()
	}
}

// The simulation in virtual time and a pool of goroutines and timers come to the same: the same cold starts, the same waits
// to the nanosecond, and nothing left.
func TestSimulationIsWhatAPoolDoes(t *testing.T) {
	draw := rand.New(rand.NewPCG(8, 1))
	for range 5 {
		trace := &Trace{Functions: []Function{{Name: "f", MemoryMB: 128, Start: 300*time.Millisecond + 7}}}
		var at time.Duration
		for range 600 {
			at += time.Duration(draw.ExpFloat64()*float64(80*time.Millisecond)) + 1
			if draw.IntN(100) == 0 {
				at += time.Duration(draw.Int64N(int64(30 * time.Second)))
			}
			trace.Calls = append(trace.Calls, Call{At: at, Duration: time.Duration(draw.ExpFloat64() * float64(200*time.Millisecond))})
		}
		c := config(t, "fixed:10s")
		m, err := newMachine(trace, c)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.play(t.Context(), trace); err != nil {
			t.Fatal(err)
		}
		m.result() // sorts the delays
		synctest.Test(t, func(t *testing.T) {
			l := &live{scaler: scaling.New(c.Settings, c.Policy.New(c.Settings)), start: trace.Functions[0].Start}
			began := time.Now()
			for _, call := range trace.Calls {
				time.Sleep(call.At - time.Since(began))
				go l.call(call.Duration)
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			slices.Sort(l.delays)
			if l.cold != m.coldStarts || !slices.Equal(l.delays, m.delays) {
				t.Errorf("%d cold starts and %d delays; simulated %d and %d", l.cold, len(l.delays), m.coldStarts, len(m.delays))
			}
			if m.waited == 0 || m.coldStarts < 3 {
				t.Errorf("the trace tests little: %d waited, %d cold", m.waited, m.coldStarts)
			}
			if l.alive != 0 || len(l.idle) != 0 || l.scaler.InFlight() != 0 {
				t.Errorf("%d instances are left", l.alive)
			}
		})
	}
}
