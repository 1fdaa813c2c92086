package egress

import (
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
)

// The figures in docs/networking.md: how long one sandbox takes, and each of a hundred that come and go at once.
func BenchmarkAttach(b *testing.B) {
	w := newWorld(b)
	m := w.manager(Options{})
	_, first := w.sandbox(m, Policy{Internet: true}) // makes the table
	defer first.Close()
	for _, n := range []int{1, 100} {
		b.Run(map[int]string{1: "one", 100: "hundred"}[n], func(b *testing.B) {
			var in, out time.Duration
			for range b.N {
				b.StopTimer()
				spaces := make([]*os.File, n)
				leases := make([]*Lease, n)
				for i := range spaces {
					spaces[i] = newNS(b)
				}
				runtime.GC()
				b.StartTimer()
				start := time.Now()
				each(n, func(i int) {
					var err error
					if leases[i], err = m.Attach(b.Context(), "bench", spaces[i], Policy{Internet: true}); err != nil {
						b.Error(err)
					}
				})
				attached := time.Now()
				each(n, func(i int) {
					if err := leases[i].Close(); err != nil {
						b.Error(err)
					}
				})
				in, out = in+attached.Sub(start), out+time.Since(attached)
				b.StopTimer()
				for _, ns := range spaces {
					ns.Close()
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(in.Microseconds())/float64(b.N*n), "attach-µs/sandbox")
			b.ReportMetric(float64(out.Microseconds())/float64(b.N*n), "detach-µs/sandbox")
		})
	}
}

func each(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}
