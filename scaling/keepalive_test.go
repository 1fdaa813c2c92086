package scaling

import (
	"math/rand/v2"
	"testing"
	"time"
)

// calls has a function called after each of the idle times, each call taking a second, and returns what its instance is
// kept for after the last one.
func calls(h KeepAlive, n int, idle ...time.Duration) Window {
	now := t0
	for range n {
		for _, d := range idle {
			now = now.Add(d)
			h.Arrived(now, 1)
			now = now.Add(time.Second)
			h.Left(now, 0)
		}
	}
	return h.Window(0)
}

func TestHybridWindows(t *testing.T) {
	var spread []time.Duration // every bin equally often
	for m := range 240 {
		spread = append(spread, time.Duration(m)*time.Minute+time.Second)
	}
	fallback := Window{Keep: 15 * time.Minute}
	for _, c := range []struct {
		name string
		n    int
		idle []time.Duration
		want Window
	}{
		{"nothing is known", 0, nil, fallback},
		{"too few idle times", 4, []time.Duration{10 * time.Minute}, fallback},
		// Bin 10 is 10…11 minutes: pre-warmed 10% before its beginning, kept until 10% after its end.
		{"every ten minutes", 50, []time.Duration{10*time.Minute + time.Second}, Window{9 * time.Minute, 12*time.Minute + 6*time.Second - 9*time.Minute}},
		{"every three hours", 50, []time.Duration{3*time.Hour + time.Second}, Window{162 * time.Minute, 15 * time.Minute}},
		{"every few seconds", 50, []time.Duration{5 * time.Second}, Window{0, 66 * time.Second}},
		{"every five hours", 50, []time.Duration{5 * time.Hour}, fallback},
		{"mostly out of bounds", 50, []time.Duration{time.Minute, 5 * time.Hour, 5 * time.Hour}, fallback},
		{"no pattern", 3, spread, fallback},
		{"a minute or two", 50, []time.Duration{90 * time.Second, 150 * time.Second}, Window{54 * time.Second, 198*time.Second - 54*time.Second}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := calls(NewHybrid(DefaultHybrid(), 15*time.Minute), c.n, c.idle...); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

// The instance that only a second call at once needs has idle times of its own.
func TestHybridLooksAtEachLevelOfConcurrency(t *testing.T) {
	h := NewHybrid(DefaultHybrid(), 15*time.Minute)
	now := t0
	for range 20 {
		for range 10 { // one call a minute, and every tenth minute two at once
			now = now.Add(time.Minute)
			h.Arrived(now, 1)
			h.Left(now.Add(time.Second), 0)
		}
		h.Arrived(now.Add(2*time.Second), 1)
		h.Arrived(now.Add(2*time.Second), 2)
		h.Left(now.Add(3*time.Second), 1)
		h.Left(now.Add(3*time.Second), 0)
	}
	if w := h.Window(0); w.Prewarm != 0 || w.Keep > 3*time.Minute {
		t.Errorf("the first instance: %+v", w)
	}
	if w := h.Window(1); w.Prewarm < 8*time.Minute || w.Prewarm+w.Keep < 10*time.Minute {
		t.Errorf("the second instance: %+v", w)
	}
}

func TestHybridFollowsAFunctionThatChanges(t *testing.T) {
	h := NewHybrid(DefaultHybrid(), 15*time.Minute)
	calls(h, 5000, 10*time.Minute+time.Second)
	if w := calls(h, 40_000, 2*time.Minute+time.Second); w.Prewarm+w.Keep > 4*time.Minute {
		t.Errorf("%+v", w)
	}
}

// Whatever calls come, no window is negative or longer than the setting, and what is remembered stays small.
func TestHybridIsBounded(t *testing.T) {
	draw := rand.New(rand.NewPCG(5, 5))
	for range 20 {
		longest := time.Duration(draw.IntN(int(time.Hour)))
		h := NewHybrid(DefaultHybrid(), longest)
		now, inFlight := t0, 0
		mean := time.Duration(1 << (20 + draw.IntN(24)))
		for range 20_000 {
			now = now.Add(time.Duration(draw.ExpFloat64() * float64(mean)))
			if up := draw.IntN(2) == 0; inFlight == 0 || up {
				inFlight++
				h.Arrived(now, inFlight)
			} else {
				inFlight--
				h.Left(now, inFlight)
				if w := h.Window(inFlight); w.Keep < 0 || w.Keep > longest || w.Prewarm < 0 || w.Prewarm > 4*time.Hour {
					t.Fatalf("%+v with a longest idle time of %v", w, longest)
				}
			}
		}
		for _, l := range h.levels {
			sum := 0
			for _, n := range l.bins {
				sum += int(n)
			}
			if sum != l.total || l.total+l.outside > hybridForgetAt+1 {
				t.Fatalf("%d idle times counted, %d in the bins, %d outside", l.total, sum, l.outside)
			}
		}
	}
	h := NewHybrid(DefaultHybrid(), time.Minute)
	for n := range 100_000 {
		h.Arrived(t0, n+1)
	}
	for n := range 100_000 {
		h.Left(t0, 99_999-n)
		h.Window(99_999 - n)
	}
	if len(h.fell) > hybridLevels || len(h.levels) > 11 {
		t.Errorf("%d levels and %d histograms are kept", len(h.fell), len(h.levels))
	}
}

func TestRest(t *testing.T) {
	s := DefaultSettings()
	f := New(s, NewHybrid(s.Hybrid, s.MaxIdle))
	now := t0
	for range 20 {
		now = now.Add(10*time.Minute + time.Second)
		if err := f.Admit(now, 1000); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Second)
		f.Left(now, time.Second)
	}
	if w := f.Rest(); w.Prewarm != 9*time.Minute || w.Keep != 186*time.Second {
		t.Errorf("at rest: %+v", w)
	}
	s.MaxIdle = time.Minute
	if w := New(s, Fixed(time.Hour)).Rest(); w.Keep != time.Minute {
		t.Errorf("the longest idle time is not kept to: %+v", w)
	}
}

func TestParsePolicy(t *testing.T) {
	s := DefaultSettings()
	for name, want := range map[string]time.Duration{"fixed": 15 * time.Minute, "fixed:10m": 10 * time.Minute, "fixed:0s": 0, "fixed:4h": 15 * time.Minute, "hybrid": 15 * time.Minute} {
		p, err := ParsePolicy(name)
		if err != nil {
			t.Fatal(err)
		}
		if w := p.New(s).Window(0); w.Keep != want || w.Prewarm != 0 {
			t.Errorf("%s keeps an instance %+v", name, w)
		}
	}
	for _, name := range []string{"", "fixed:", "fixed:-1s", "fixed:5", "hybrid:1m", "lru"} {
		if _, err := ParsePolicy(name); err == nil {
			t.Errorf("%q is taken", name)
		}
	}
}
