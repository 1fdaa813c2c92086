package simulate

import (
	"math/rand/v2"
	"testing"
	"time"

	"mayfly/scaling"
)

// manyCalls is a million calls of 100 functions over a day: the busiest is called a quarter million times.
func manyCalls(n int) *Trace {
	draw := rand.New(rand.NewPCG(1, 2))
	t := &Trace{}
	for range 100 {
		t.Functions = append(t.Functions, Function{Name: "f", MemoryMB: 128 << draw.IntN(4)})
	}
	for range n {
		f := int32(100 * draw.Float64() * draw.Float64() * draw.Float64())
		t.Calls = append(t.Calls, Call{At: time.Duration(draw.Int64N(int64(24 * time.Hour))),
			Duration: time.Duration(draw.ExpFloat64() * float64(300*time.Millisecond)), Function: f})
	}
	t.sort()
	return t
}

func BenchmarkMillionCalls(b *testing.B) {
	t := manyCalls(1_000_000)
	for _, name := range []string{"fixed", "hybrid"} {
		policy, err := scaling.ParsePolicy(name)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, err := Run(b.Context(), t, Config{Policy: policy, Settings: scaling.DefaultSettings(), Start: 200 * time.Millisecond,
					Concurrency: 1000, Prices: LambdaPrices()})
				if err != nil || r.Invocations != len(t.Calls) {
					b.Fatal(r, err)
				}
			}
		})
	}
}
