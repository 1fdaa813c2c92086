//go:build linux

package native_test

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"mayfly/sandbox"
)

// BenchmarkLife measures the steps of a sandbox's life, and the processor time of the whole machine: much of what a
// sandbox costs is spent in the kernel on nobody's account. It says something on an idle machine only.
func BenchmarkLife(b *testing.B) {
	for _, mode := range []sandbox.EgressMode{sandbox.EgressNone, sandbox.EgressInternet} {
		b.Run("egress="+string(mode), func(b *testing.B) { life(b, mode) })
	}
}

func life(b *testing.B, mode sandbox.EgressMode) {
	d := newDriver(b)
	ctx := context.Background()
	bind := sandbox.Binding{
		Mounts: []sandbox.Mount{{Source: b.TempDir(), Target: "/var/task"}},
		Limits: sandbox.Limits{MemoryBytes: 128 << 20, Millicores: 2000},
		Egress: sandbox.Egress{Mode: mode},
	}
	took := map[string]time.Duration{}
	check := func(step string, from time.Time, err error) time.Time {
		if err != nil {
			b.Fatalf("%s: %v", step, err)
		}
		now := time.Now()
		took[step] += now.Sub(from)
		return now
	}
	before := machineCPU(b)
	for i := 0; b.Loop(); i++ {
		at := time.Now()
		s, err := d.Create(ctx, fmt.Sprintf("bench-%d", i))
		at = check("create", at, err)
		at = check("bind", at, s.Bind(ctx, bind))
		_, err = s.Listen(9001)
		at = check("listen", at, err)
		at = check("start", at, s.Start(ctx, sandbox.Process{Args: []string{"/bin/true"}}))
		<-s.Done()
		at = check("run", at, nil)
		check("destroy", at, s.Destroy(ctx))
	}
	for step, d := range took {
		b.ReportMetric(float64(d.Microseconds())/float64(b.N), step+"-µs")
	}
	b.ReportMetric(float64((machineCPU(b)-before).Microseconds())/float64(b.N), "machine-cpu-µs")
}

// BenchmarkParallel measures how many sandboxes a second come and go when many are asked for at once.
func BenchmarkParallel(b *testing.B) {
	d := newDriver(b)
	ctx := context.Background()
	var n atomic.Int64
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			s, err := d.Create(ctx, fmt.Sprintf("bench-%d", n.Add(1)))
			if err != nil {
				b.Error(err)
				return
			}
			if err := s.Destroy(ctx); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sandboxes/s")
}

// machineCPU is the time that all processors have not been idle; the kernel counts in hundredths of a second.
func machineCPU(b *testing.B) time.Duration {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		b.Fatal(err)
	}
	var user, nice, system, idle, wait, irq, softirq int64
	if _, err := fmt.Sscanf(string(text), "cpu %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &wait, &irq, &softirq); err != nil {
		b.Fatal(err)
	}
	return time.Duration(user+nice+system+irq+softirq) * 10 * time.Millisecond
}
