package scaling

import (
	"math/bits"
	"sort"
	"time"
)

// Each octave of microseconds is split into four buckets, so that a quantile is at most an eighth off. The last bucket
// begins at an hour; a function runs 15 minutes at most.
const (
	subBuckets = 4
	octaves    = 31
	buckets    = subBuckets * octaves
	forgetAt   = 1024 // samples; then every count is halved, so that what happened lately weighs more
	ewmaWeight = 0.1
)

// Durations remembers how long something took: a moving average and a histogram, in a few hundred bytes whatever the
// number of samples. The zero value is ready to use.
type Durations struct {
	count [buckets]uint16
	total int
	mean  float64 // nanoseconds, exponentially weighted
}

// Add adds a sample.
func (h *Durations) Add(d time.Duration) {
	d = max(d, 0)
	if h.total == 0 {
		h.mean = float64(d)
	} else {
		h.mean += ewmaWeight * (float64(d) - h.mean)
	}
	if h.total >= forgetAt {
		h.total = 0
		for i, n := range h.count {
			h.count[i] = n / 2
			h.total += int(n / 2)
		}
	}
	h.count[bucketOf(d)]++
	h.total++
}

// Count is how many samples the histogram holds.
func (h *Durations) Count() int { return h.total }

// Mean is the moving average, 0 without samples.
func (h *Durations) Mean() time.Duration { return time.Duration(h.mean) }

// Quantile returns the duration that the share q of samples does not exceed, 0 without samples.
func (h *Durations) Quantile(q float64) time.Duration {
	c := h.curve()
	return c.quantile(q * c.below[buckets])
}

func bucketOf(d time.Duration) int {
	us := uint64(d / time.Microsecond)
	if us < subBuckets {
		return int(us)
	}
	shift := bits.Len64(us) - 3 // keeps the leading bit and two more
	return min((shift+1)*subBuckets+int(us>>shift)&(subBuckets-1), buckets-1)
}

// lowest is the smallest duration of a bucket.
func lowest(b int) time.Duration {
	if b < subBuckets {
		return time.Duration(b) * time.Microsecond
	}
	shift := b/subBuckets - 1
	return time.Duration(subBuckets+b%subBuckets) << shift * time.Microsecond
}

// curve is a histogram added up, for many questions at once.
type curve struct {
	below [buckets + 1]float64 // samples in the buckets before this one
}

func (h *Durations) curve() *curve {
	c := new(curve)
	for i, n := range h.count {
		c.below[i+1] = c.below[i] + float64(n)
	}
	return c
}

// atMost is how many samples are not longer than d; within a bucket they are taken to lie evenly.
func (c *curve) atMost(d time.Duration) float64 {
	if d < 0 {
		return 0
	}
	b := bucketOf(d)
	low, high := lowest(b), lowest(b+1)
	share := min(float64(d-low)/float64(high-low), 1)
	return c.below[b] + share*(c.below[b+1]-c.below[b])
}

// quantile is the inverse of atMost.
func (c *curve) quantile(n float64) time.Duration {
	if n <= 0 {
		return 0
	}
	b := max(sort.SearchFloat64s(c.below[:], n)-1, 0) // the first bucket that reaches n
	if b >= buckets {
		return lowest(buckets)
	}
	low, high := lowest(b), lowest(b+1)
	return low + time.Duration((n-c.below[b])/(c.below[b+1]-c.below[b])*float64(high-low))
}

// endsWithin is the chance that what has gone on for elapsed ends within t from now. What has gone on for longer than
// anything seen is taken to go on for as long again, evenly.
func (c *curve) endsWithin(elapsed, t time.Duration) float64 {
	total := c.below[buckets]
	left := total - c.atMost(elapsed)
	if left <= 0 {
		return min(float64(t)/float64(2*elapsed+1), 1)
	}
	return (c.atMost(elapsed+t) - c.atMost(elapsed)) / left
}

// remaining is the median of how much longer what has gone on for elapsed will take.
func (c *curve) remaining(elapsed time.Duration) time.Duration {
	seen := c.atMost(elapsed)
	left := c.below[buckets] - seen
	if left <= 0 {
		return elapsed
	}
	return max(c.quantile(seen+left/2)-elapsed, 0)
}
