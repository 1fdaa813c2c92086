package scaling

import "time"

// Bucket is a token bucket: a burst at once, refilled evenly over a period, nothing saved up beyond the burst. It reckons in
// whole nanoseconds, so it is never off by one, and needs no ticking.
type Bucket struct {
	burst int
	step  time.Duration // in which one token comes back
	full  time.Time     // when all tokens will be back
}

// NewBucket makes a full bucket. A burst of 0 never gives anything.
func NewBucket(burst int, period time.Duration) Bucket {
	b := Bucket{burst: max(burst, 0)}
	if b.burst > 0 {
		b.step = period / time.Duration(b.burst)
	}
	return b
}

// Burst is how many tokens a full bucket has.
func (b *Bucket) Burst() int { return b.burst }

// Resized is a bucket of another size that is as long from being full as this one.
func (b *Bucket) Resized(burst int, period time.Duration) Bucket {
	n := NewBucket(burst, period)
	n.full = b.full
	return n
}

// Take takes a token. Without one it says after what time there will be one, 0 when never.
func (b *Bucket) Take(now time.Time) (ok bool, retry time.Duration) {
	if b.burst == 0 {
		return false, 0
	}
	from := b.full
	if from.Before(now) {
		from = now
	}
	if wait := from.Sub(now) - time.Duration(b.burst-1)*b.step; wait > 0 {
		return false, wait
	}
	b.full = from.Add(b.step)
	return true, 0
}
