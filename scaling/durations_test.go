package scaling

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestBucketsCoverEveryDuration(t *testing.T) {
	for b := range buckets {
		if low := lowest(b); bucketOf(low) != b || b > 0 && bucketOf(low-1) != b-1 {
			t.Fatalf("bucket %d begins at %v, which lies in %d, and the nanosecond before in %d", b, low, bucketOf(low), bucketOf(low-1))
		}
	}
	if b := bucketOf(1000 * time.Hour); b != buckets-1 {
		t.Errorf("a very long time lies in bucket %d", b)
	}
}

func TestQuantilesAreClose(t *testing.T) {
	var h Durations
	if h.Quantile(0.5) != 0 || h.Mean() != 0 {
		t.Error("a quantile without samples is not 0")
	}
	for ms := 1; ms <= 1000; ms++ {
		h.Add(time.Duration(ms) * time.Millisecond)
	}
	for _, q := range []float64{0.01, 0.25, 0.5, 0.9, 0.99} {
		want := time.Duration(q * float64(time.Second))
		if got := h.Quantile(q); got < want*7/8-time.Millisecond || got > want*9/8+time.Millisecond {
			t.Errorf("quantile %v of 1…1000 ms is %v", q, got)
		}
	}
}

func TestDurationsForgetWhatWasLongAgo(t *testing.T) {
	var h Durations
	for range 2000 {
		h.Add(time.Second)
	}
	for range 4000 {
		h.Add(10 * time.Millisecond)
	}
	if got := h.Quantile(0.9); got > 12*time.Millisecond {
		t.Errorf("after 4,000 samples of 10 ms the 90th percentile is still %v", got)
	}
	if h.Count() > forgetAt+1 {
		t.Errorf("it holds %d samples", h.Count())
	}
	if m := h.Mean(); m < 9*time.Millisecond || m > 11*time.Millisecond {
		t.Errorf("the moving average is %v", m)
	}
}

// What has gone on for longer than half of the samples takes longer than half: the hints of a bimodal function.
func TestRemainingDependsOnElapsed(t *testing.T) {
	var h Durations
	for range 90 {
		h.Add(10 * time.Millisecond)
	}
	for range 10 {
		h.Add(10 * time.Second)
	}
	c := h.curve()
	if r := c.remaining(0); r > 12*time.Millisecond {
		t.Errorf("a call that has just begun is expected to take %v more", r)
	}
	if r := c.remaining(100 * time.Millisecond); r < 8*time.Second {
		t.Errorf("a call that was not among the short ones is expected to take only %v more", r)
	}
	if r := c.remaining(time.Minute); r != time.Minute {
		t.Errorf("a call that has taken longer than any is expected to take %v more, not as long again", r)
	}
}

func TestEndsWithinIsADistribution(t *testing.T) {
	draw := rand.New(rand.NewPCG(1, 1))
	var h Durations
	for range 300 {
		h.Add(time.Duration(draw.ExpFloat64() * float64(time.Second)))
	}
	c := h.curve()
	for _, elapsed := range []time.Duration{0, time.Millisecond, time.Second, time.Minute} {
		last := 0.0
		for _, within := range []time.Duration{0, time.Millisecond, 100 * time.Millisecond, time.Second, 10 * time.Second, time.Hour} {
			p := c.endsWithin(elapsed, within)
			if p < last || p > 1.0000001 {
				t.Errorf("P(ends within %v after %v) = %v, after %v", within, elapsed, p, last)
			}
			last = p
		}
		if last < 0.999 {
			t.Errorf("after %v it ends within an hour with %v", elapsed, last)
		}
		if half := c.endsWithin(elapsed, c.remaining(elapsed)); half < 0.45 || half > 0.55 {
			t.Errorf("after %v it ends within the median with %v", elapsed, half)
		}
	}
}
