package scaling

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

func TestBucketGivesExactlyItsBurst(t *testing.T) {
	for _, burst := range []int{1, 7, 70, 999, 1000, 10_000, 33_333} {
		b := NewBucket(burst, 10*time.Second)
		now := time.Unix(1000, 0)
		got := 0
		for ok := true; ok; {
			if ok, _ = b.Take(now); ok {
				got++
			}
		}
		if got != burst {
			t.Errorf("a bucket of %d gave %d at once", burst, got)
		}
	}
	empty := NewBucket(0, time.Second)
	if ok, retry := empty.Take(time.Unix(1, 0)); ok || retry != 0 {
		t.Error("a bucket of 0 gave something, or promised to")
	}
}

// In no span of time does a bucket give more than its burst and what came back meanwhile.
func TestBucketNeverExceedsItsRate(t *testing.T) {
	const burst, period = 50, 10 * time.Second
	draw := rand.New(rand.NewPCG(7, 7))
	b := NewBucket(burst, period)
	now := time.Unix(0, 0)
	var taken []time.Time
	for range 5000 {
		now = now.Add(time.Duration(draw.ExpFloat64() * float64(100*time.Millisecond)))
		if ok, retry := b.Take(now); ok {
			taken = append(taken, now)
		} else if again := b; retry > 0 {
			if ok, _ := again.Take(now.Add(retry - 1)); ok {
				t.Fatal("there was a token before it was promised")
			}
			if ok, _ := again.Take(now.Add(retry)); !ok {
				t.Fatal("there was no token when it was promised")
			}
		}
	}
	for i := range taken {
		for j := i + burst; j < min(len(taken), i+4*burst); j++ {
			span := taken[j].Sub(taken[i])
			if n, most := j-i+1, burst+int(span/(period/burst)); n > most {
				t.Fatalf("%d within %v, more than %d", n, span, most)
			}
		}
	}
}

func TestBucketRefillsAsTimePasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBucket(1000, 10*time.Second)
		take := func() (n int) {
			for {
				if ok, _ := b.Take(time.Now()); !ok {
					return n
				}
				n++
			}
		}
		if n := take(); n != 1000 {
			t.Errorf("%d at once", n)
		}
		time.Sleep(time.Second)
		if n := take(); n != 100 {
			t.Errorf("%d after a second", n)
		}
		time.Sleep(time.Hour) // nothing is saved up
		if n := take(); n != 1000 {
			t.Errorf("%d after an hour", n)
		}
	})
}
