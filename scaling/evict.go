package scaling

import (
	"cmp"
	"container/heap"
	"math"
	"slices"
	"sync/atomic"
	"time"
)

// Worth is the value of a warm instance in greedy-dual terms: how often its function was called, times what a start costs,
// over the memory it holds. Instances that are cheap to bring back, seldom used or large go first.
func Worth(calls float64, start time.Duration, sizeMB int) float64 {
	return calls * start.Seconds() / float64(max(sizeMB, 1))
}

// Resting is an idle instance as eviction sees it.
type Resting struct {
	SizeMB   int
	Priority float64 // GreedyDual.Priority when it became idle
	Owner    any     // the caller's
	index    int     // in the heap, plus 1
	order    uint64  // of resting; the one that has rested longer goes first among equals
}

// GreedyDual picks the idle instances to give up when memory is short: the greedy-dual-size-frequency policy of Fuerst and
// Sharma, "FaasCache", ASPLOS 2021. An instance's priority is the clock plus its Worth; evicting sets the clock to the
// priority of what went, so that what has not been used since ages without anybody counting time.
//
// There are two ways to use it. Rest, Wake and Evict keep all idle instances in one heap, for owners with one lock. Stamp
// may be called by many at once, each for an instance of its own, and Choose picks among instances collected when memory
// is short: no call shares a lock with another function's. Both pick the same.
type GreedyDual struct {
	clock atomic.Uint64 // bits of a float64; only ever grows
	order atomic.Uint64
	rest  resting
}

// Stamp gives an instance that becomes idle its priority.
func (g *GreedyDual) Stamp(r *Resting, worth float64) {
	r.Priority, r.order = math.Float64frombits(g.clock.Load())+worth, g.order.Add(1)
}

// Choose picks the instances of lowest priority that free needMB together, and sets the clock. It picks none when all
// together are not enough. One caller at a time.
func (g *GreedyDual) Choose(idle []*Resting, needMB int) (gone []*Resting, ok bool) {
	if needMB <= 0 {
		return nil, true
	}
	idle = slices.SortedFunc(slices.Values(idle), compareResting)
	for n, r := range idle {
		if needMB -= r.SizeMB; needMB <= 0 {
			g.age(r)
			return idle[:n+1], true
		}
	}
	return nil, false
}

func (g *GreedyDual) age(gone *Resting) {
	if gone.Priority > math.Float64frombits(g.clock.Load()) {
		g.clock.Store(math.Float64bits(gone.Priority))
	}
}

// Rest adds an instance that has become idle.
func (g *GreedyDual) Rest(r *Resting, worth float64) {
	g.Stamp(r, worth)
	heap.Push(&g.rest, r)
}

// Wake takes an instance out: it got a call, or went for another reason. One that is not in does no harm.
func (g *GreedyDual) Wake(r *Resting) {
	if r.index > 0 {
		heap.Remove(&g.rest, r.index-1)
	}
}

// Len is how many instances rest.
func (g *GreedyDual) Len() int { return len(g.rest) }

// Evict takes out the instances of lowest priority until they free needMB. It evicts none when all together are not enough.
func (g *GreedyDual) Evict(needMB int) (gone []*Resting, ok bool) {
	sum := 0
	for _, r := range g.rest {
		sum += r.SizeMB
	}
	if sum < needMB {
		return nil, false
	}
	for needMB > 0 {
		r := heap.Pop(&g.rest).(*Resting)
		needMB -= r.SizeMB
		g.age(r)
		gone = append(gone, r)
	}
	return gone, true
}

func compareResting(a, b *Resting) int {
	return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.order, b.order))
}

type resting []*Resting

func (h resting) Len() int           { return len(h) }
func (h resting) Less(i, j int) bool { return compareResting(h[i], h[j]) < 0 }
func (h resting) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i+1, j+1
}
func (h *resting) Push(x any) {
	r := x.(*Resting)
	*h = append(*h, r)
	r.index = len(*h)
}
func (h *resting) Pop() any {
	old := *h
	r := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	r.index = 0
	return r
}
