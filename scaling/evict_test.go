package scaling

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestWorthOrdersEviction(t *testing.T) {
	var g GreedyDual
	add := func(name string, calls float64, start time.Duration, mb int) {
		g.Rest(&Resting{SizeMB: mb, Owner: name}, Worth(calls, start, mb))
	}
	add("much used", 100_000, 100*ms, 128)
	add("slow to start", 10, 10*time.Second, 128)
	add("large", 10, 100*ms, 4096)
	add("small", 10, 100*ms, 128)
	var order []string
	for g.Len() > 0 {
		gone, ok := g.Evict(1)
		if !ok {
			t.Fatal("nothing was evicted")
		}
		order = append(order, gone[0].Owner.(string))
	}
	if want := []string{"large", "small", "slow to start", "much used"}; !slices.Equal(order, want) {
		t.Errorf("%v, want %v", order, want)
	}
}

// Evicting moves the clock, so that what was worth much long ago goes before what is used now.
func TestGreedyDualAges(t *testing.T) {
	var g GreedyDual
	old := &Resting{SizeMB: 1}
	g.Rest(old, 50)
	for range 200 {
		g.Rest(&Resting{SizeMB: 1}, 1)
		if gone, _ := g.Evict(1); gone[0] == old {
			return
		}
	}
	t.Error("an instance that was never used again was never evicted")
}

func TestEvictOnlyWhenItHelps(t *testing.T) {
	var g GreedyDual
	a, b := &Resting{SizeMB: 100}, &Resting{SizeMB: 100}
	g.Rest(a, 1)
	g.Rest(b, 2)
	if gone, ok := g.Evict(201); ok || gone != nil || g.Len() != 2 {
		t.Errorf("evicted %d for more than there is", len(gone))
	}
	g.Wake(a)
	g.Wake(a)
	if gone, ok := g.Evict(100); !ok || len(gone) != 1 || gone[0] != b {
		t.Errorf("evicted %v", gone)
	}
	if gone, ok := g.Evict(0); !ok || len(gone) != 0 {
		t.Error("nothing is needed, and something went")
	}
}

// The heap of one lock and the choice among collected instances pick the same, always those of lowest priority.
func TestBothWaysOfEvictingAgree(t *testing.T) {
	draw := rand.New(rand.NewPCG(11, 4))
	for range 200 {
		var heaped, stamped GreedyDual
		var idle []*Resting
		pairs := map[*Resting]*Resting{}
		for range 200 {
			switch draw.IntN(4) {
			case 0, 1:
				worth, mb := float64(draw.IntN(20)), 1+draw.IntN(100)
				a, b := &Resting{SizeMB: mb}, &Resting{SizeMB: mb}
				heaped.Rest(a, worth)
				stamped.Stamp(b, worth)
				idle, pairs[b] = append(idle, b), a
			case 2:
				if len(idle) > 0 {
					n := draw.IntN(len(idle))
					heaped.Wake(pairs[idle[n]])
					idle = slices.Delete(idle, n, n+1)
				}
			case 3:
				need := draw.IntN(300)
				got, ok := heaped.Evict(need)
				want, ok2 := stamped.Choose(idle, need)
				if need == 0 {
					continue
				}
				if ok != ok2 || len(got) != len(want) {
					t.Fatalf("%d and %d evicted for %d MB", len(got), len(want), need)
				}
				for i := range want {
					if pairs[want[i]] != got[i] {
						t.Fatalf("they differ in what goes as number %d", i)
					}
					n := slices.Index(idle, want[i])
					idle = slices.Delete(idle, n, n+1)
				}
				for _, r := range idle {
					if len(want) > 0 && compareResting(r, want[len(want)-1]) < 0 {
						t.Fatal("one of lower priority stayed")
					}
				}
			}
		}
	}
}
