package scaling

import (
	"math"
	"math/bits"
	"time"
)

// Window says what becomes of an idle instance. With Prewarm 0 it is kept for Keep. Otherwise it goes now, another one is
// made after Prewarm, shortly before the next call is expected, and that one is kept for Keep.
type Window struct {
	Prewarm time.Duration
	Keep    time.Duration
}

// KeepAlive is the policy of one function: what it is told of the calls, and the window that follows from it.
type KeepAlive interface {
	Arrived(now time.Time, inFlight int) // a call came; inFlight counts it
	Left(now time.Time, inFlight int)    // a call is over; inFlight no longer counts it
	Window(inFlight int) Window          // of an instance that becomes idle while inFlight calls run on others
}

// Fixed keeps every idle instance equally long.
type Fixed time.Duration

// Arrived implements KeepAlive.
func (Fixed) Arrived(time.Time, int) {}

// Left implements KeepAlive.
func (Fixed) Left(time.Time, int) {}

// Window implements KeepAlive.
func (d Fixed) Window(int) Window { return Window{Keep: time.Duration(d)} }

// HybridSettings configure Hybrid. The defaults are the paper's.
type HybridSettings struct {
	Bin            time.Duration // width of the histogram's bins
	Range          time.Duration // idle times from here on are out of bounds
	Head           float64       // share of idle times that may be shorter than the pre-warming window
	Tail           float64       // share of idle times that are not longer than both windows together
	Margin         float64       // by which the pre-warming window is shortened and the end of the keep-alive window put off
	MinSamples     int           // fewer idle times say nothing
	MinCV          float64       // a histogram whose bins vary less (standard deviation ÷ mean) shows no pattern
	MaxOutOfBounds float64       // share of idle times out of bounds from which on the histogram says nothing
}

// DefaultHybrid returns the paper's values: minute bins over 4 hours, 5th and 99th percentile, a margin of 10%, CV 2.
func DefaultHybrid() HybridSettings {
	return HybridSettings{Bin: time.Minute, Range: 4 * time.Hour, Head: 0.05, Tail: 0.99, Margin: 0.1,
		MinSamples: 5, MinCV: 2, MaxOutOfBounds: 0.5}
}

// Hybrid is the hybrid histogram policy of Shahrad et al., "Serverless in the Wild", USENIX ATC 2020: a histogram of a
// function's idle times gives the pre-warming window (5th percentile) and the keep-alive window (up to the 99th). While the
// histogram says nothing (few samples, no pattern, or most idle times out of bounds), idle instances are kept for the
// longest time allowed. Functions that are called less than every four hours would need the paper's time series forecast,
// which is left out: the longest idle time of 15 minutes would leave little of it.
//
// The paper looks at applications that are either idle or not. Here a function may have many instances, and as the one used
// last is used first, the n-th is idle from when the number of calls in flight falls below n until it is n again. So an idle
// time is taken for each level of concurrency, and there is a histogram for each doubling of it: 1, 2–3, 4–7, and so on,
// eleven of 480 bytes at most. With one call at a time it is the paper's policy.
type Hybrid struct {
	s      HybridSettings
	max    time.Duration
	fell   []time.Time // when the calls in flight fell to the index; zero once they have risen again
	levels []*histogram
}

// histogram is of the idle times of some levels of concurrency.
type histogram struct {
	bins    []uint16
	total   int     // idle times within bounds
	outside int     // idle times out of bounds
	squares float64 // sum of the bins' squares
	window  Window
	stale   bool
}

const (
	hybridForgetAt = 4096 // idle times; then all counts are halved. Bounds memory, and follows a function that changes
	hybridLevels   = 1024 // levels of concurrency that idle times are taken of
)

// NewHybrid makes the policy of a function that nothing is known of. No window keeps an instance longer than maxIdle.
func NewHybrid(s HybridSettings, maxIdle time.Duration) *Hybrid {
	return &Hybrid{s: s, max: maxIdle}
}

// level is the histogram of the instance that is used when n other calls are in flight.
func (h *Hybrid) level(n int) *histogram {
	i := bits.Len(uint(min(n, hybridLevels-1)+1)) - 1
	for len(h.levels) <= i {
		h.levels = append(h.levels, &histogram{bins: make([]uint16, max(int(h.s.Range/h.s.Bin), 1)), window: Window{Keep: h.max}})
	}
	return h.levels[i]
}

// Arrived implements KeepAlive.
func (h *Hybrid) Arrived(now time.Time, inFlight int) {
	if n := inFlight - 1; n < len(h.fell) && !h.fell[n].IsZero() {
		h.level(n).add(int(max(now.Sub(h.fell[n]), 0) / h.s.Bin))
		h.fell[n] = time.Time{}
	}
}

// Left implements KeepAlive.
func (h *Hybrid) Left(now time.Time, inFlight int) {
	if inFlight >= hybridLevels {
		return
	}
	for len(h.fell) <= inFlight {
		h.fell = append(h.fell, time.Time{})
	}
	h.fell[inFlight] = now
}

// Window implements KeepAlive.
func (h *Hybrid) Window(inFlight int) Window {
	l := h.level(inFlight)
	if l.stale {
		l.window, l.stale = l.compute(&h.s, h.max), false
	}
	return l.window
}

func (l *histogram) add(bin int) {
	l.stale = true
	if l.total+l.outside >= hybridForgetAt {
		l.halve()
	}
	if bin >= len(l.bins) {
		l.outside++
		return
	}
	l.squares += 2*float64(l.bins[bin]) + 1
	l.bins[bin]++
	l.total++
}

func (l *histogram) halve() {
	l.total, l.squares = 0, 0
	l.outside /= 2
	for i, n := range l.bins {
		n /= 2
		l.bins[i] = n
		l.total += int(n)
		l.squares += float64(n) * float64(n)
	}
}

func (l *histogram) compute(s *HybridSettings, longest time.Duration) Window {
	all := l.total + l.outside
	if all < s.MinSamples || float64(l.outside) > s.MaxOutOfBounds*float64(all) || l.cv() < s.MinCV {
		return Window{Keep: longest}
	}
	// The head is rounded down to its bin's beginning, the tail up to its bin's end.
	head := time.Duration(float64(l.percentile(s.Head)) * float64(s.Bin) * (1 - s.Margin))
	tail := time.Duration(float64(l.percentile(s.Tail)+1) * float64(s.Bin) * (1 + s.Margin))
	return Window{Prewarm: head, Keep: min(tail-head, longest)}
}

// percentile is the bin up to which the share p of the idle times within bounds lies.
func (l *histogram) percentile(p float64) int {
	want := max(int(math.Ceil(p*float64(l.total))), 1)
	for b, n := range l.bins {
		if want -= int(n); want <= 0 {
			return b
		}
	}
	return len(l.bins) - 1
}

// cv is the bins' coefficient of variation: 0 when all are equal, high when a few hold most.
func (l *histogram) cv() float64 {
	if l.total == 0 {
		return 0
	}
	n := float64(len(l.bins))
	mean := float64(l.total) / n
	return math.Sqrt(max(l.squares/n-mean*mean, 0)) / mean
}
