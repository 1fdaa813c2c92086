package simulate

import "time"

type kind uint8

const (
	started kind = iota // an instance can take its first call
	done                // a call is over
	expire              // an instance's idle time may be up
	again               // a waiting call asks again
	prewarm             // an instance is made ahead of a call
	theEnd              // the trace is over
)

type event struct {
	at         time.Duration
	seq        uint64 // of being planned: what was planned first happens first
	kind       kind
	instance   *instance
	waiter     *waiter
	f          *function
	generation int
	keep       time.Duration
}

// events is a heap by time. container/heap would put each event behind an interface, and a million calls make millions.
type events struct {
	heap []event
	seq  uint64
}

func (a *event) before(b *event) bool { return a.at < b.at || a.at == b.at && a.seq < b.seq }

func (h *events) push(e event) {
	h.seq++
	e.seq = h.seq
	h.heap = append(h.heap, e)
	q := h.heap
	i := len(q) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !e.before(&q[up]) {
			break
		}
		q[i] = q[up]
		i = up
	}
	q[i] = e
}

func (h *events) pop() event {
	q := h.heap
	first, last := q[0], q[len(q)-1]
	q[len(q)-1] = event{} // lets go of what it points to
	q = q[:len(q)-1]
	h.heap = q
	if len(q) == 0 {
		return first
	}
	i := 0
	for {
		down := 2*i + 1
		if down >= len(q) {
			break
		}
		if down+1 < len(q) && q[down+1].before(&q[down]) {
			down++
		}
		if !q[down].before(&last) {
			break
		}
		q[i] = q[down]
		i = down
	}
	q[i] = last
	return first
}
