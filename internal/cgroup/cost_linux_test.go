package cgroup

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// The figures in docs/adr/0003-own-cgroup-code.md.

func BenchmarkGroup(b *testing.B) {
	m := realManager(b)
	for i := range b.N {
		g, err := m.Create("g" + strconv.Itoa(i))
		if err != nil {
			b.Fatal(err)
		}
		for _, err := range []error{g.SetMemory(128 << 20), g.SetCPU(72), g.SetPIDs(1024)} {
			if err != nil {
				b.Fatal(err)
			}
		}
		if err := g.Destroy(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEnter compares the ways a process gets into its group: what it costs beside a plain start. There is a pause
// before each, as between the cold starts of a server that is not busy: the kernel makes only the first of several
// migrations in a row wait.
func BenchmarkEnter(b *testing.B) {
	m := realManager(b)
	g := create(b, m)
	for name, begin := range map[string]func(*exec.Cmd) error{
		"plain": func(c *exec.Cmd) error { return c.Start() },
		"spawn": func(c *exec.Cmd) error { return g.Spawn(c.SysProcAttr, c.Start) },
		"add": func(c *exec.Cmd) error {
			if err := c.Start(); err != nil {
				return err
			}
			return g.Add(c.Process.Pid)
		},
	} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				time.Sleep(50 * time.Millisecond)
				c := exec.Command("/proc/self/exe")
				c.Env = append(os.Environ(), "CGROUP_TEST_DO=wait")
				c.SysProcAttr = &syscall.SysProcAttr{}
				b.StartTimer()
				if err := begin(c); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				c.Process.Kill()
				c.Wait()
			}
		})
	}
}
