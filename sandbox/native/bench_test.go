//go:build linux

package native_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mayfly/sandbox"
	"mayfly/sandbox/native"
)

func BenchmarkLife(b *testing.B) {
	d, err := native.New(native.Options{DataDir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	ctx := context.Background()
	dir := b.TempDir()
	phase := map[string]time.Duration{}
	var last time.Time
	mark := func(name string) { n := time.Now(); phase[name] += n.Sub(last); last = n }
	var u0, u1 unix.Rusage
	cpu := func() float64 {
		var f [10]float64
		t, _ := os.ReadFile("/proc/stat")
		fmt.Sscanf(string(t), "cpu %f %f %f %f %f %f %f", &f[0], &f[1], &f[2], &f[3], &f[4], &f[5], &f[6])
		return (f[0] + f[1] + f[2] + f[5] + f[6]) * 10
	}
	unix.Getrusage(unix.RUSAGE_SELF, &u0)
	c0 := cpu()
	b.ResetTimer()
	for i := range b.N {
		last = time.Now()
		s, err := d.Create(ctx, fmt.Sprintf("b%d", i))
		if err != nil {
			b.Fatal(err)
		}
		mark("create")
		if err := s.Bind(ctx, sandbox.Binding{Mounts: []sandbox.Mount{{Source: dir, Target: "/var/task"}}, Limits: sandbox.Limits{MemoryBytes: 128 << 20, Millicores: 2000}}); err != nil {
			b.Fatal(err)
		}
		mark("bind")
		if _, err := s.Listen(9001); err != nil {
			b.Fatal(err)
		}
		mark("listen")
		if err := s.Start(ctx, sandbox.Process{Args: []string{"/bin/true"}}); err != nil {
			b.Fatal(err)
		}
		mark("start")
		<-s.Done()
		mark("run")
		if err := s.Destroy(ctx); err != nil {
			b.Fatal(err)
		}
		mark("destroy")
	}
	b.StopTimer()
	unix.Getrusage(unix.RUSAGE_SELF, &u1)
	for k, v := range phase {
		b.ReportMetric(float64(v.Microseconds())/float64(b.N), k+"-µs")
	}
	b.ReportMetric((cpu()-c0)*1000/float64(b.N), "machine-cpu-µs")
	b.ReportMetric(float64(u1.Utime.Nano()+u1.Stime.Nano()-u0.Utime.Nano()-u0.Stime.Nano())/1000/float64(b.N), "server-cpu-µs")
}
