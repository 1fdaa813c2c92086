package cgroup

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mayfly"
)

const fakeMount = "31 23 0:28 / /cg rw,relatime - cgroup2 cgroup2 rw\n"

func fakeOpen(k *fakeKernel, self string) (*Manager, error) {
	return open(Options{Parent: "mf"}, environment{k, fakeMount, "0::" + self + "\n", []string{"cpu", "memory", "pids"}})
}

func wantLog(t *testing.T, k *fakeKernel, want ...string) {
	t.Helper()
	if !slices.Equal(k.log, want) {
		t.Errorf("the kernel was asked for\n\t%s\nwant\n\t%s", strings.Join(k.log, "\n\t"), strings.Join(want, "\n\t"))
	}
	k.log = nil
}

func TestV2Open(t *testing.T) {
	const all = "+cpu +memory +pids"
	for _, tc := range []struct {
		name  string
		setUp func(k *fakeKernel) (self string)
		open  []string
		close []string
	}{
		{
			"at the machine's top, which may hold processes",
			func(k *fakeKernel) string {
				k.groups["/cg"].procs = []string{"1", "2"}
				return "/"
			},
			[]string{"/cg/cgroup.subtree_control = " + all, "mkdir /cg/mf", "/cg/mf/cgroup.subtree_control = " + all},
			[]string{"rmdir /cg/mf"},
		}, {
			"where systemd has switched some on",
			func(k *fakeKernel) string {
				k.groups["/cg"].files["cgroup.subtree_control"] = "memory pids"
				return "/user.slice"
			},
			[]string{"/cg/cgroup.subtree_control = +cpu", "mkdir /cg/mf", "/cg/mf/cgroup.subtree_control = " + all},
			[]string{"rmdir /cg/mf"},
		}, {
			"after a crash",
			func(k *fakeKernel) string {
				k.groups["/cg"].files["cgroup.subtree_control"] = "cpu memory pids"
				k.Mkdir("/cg/mf")
				k.groups["/cg/mf"].files["cgroup.subtree_control"] = "cpu memory pids"
				k.log = nil
				return "/"
			},
			nil,
			[]string{"rmdir /cg/mf"},
		}, {
			"in a container",
			func(k *fakeKernel) string {
				k.namespace = true
				k.groups["/cg"].procs = []string{"1", "42"}
				return "/"
			},
			[]string{
				"mkdir /cg/mf-server", "/cg/mf-server/cgroup.procs = 1", "/cg/mf-server/cgroup.procs = 42",
				"/cg/cgroup.subtree_control = " + all, "mkdir /cg/mf", "/cg/mf/cgroup.subtree_control = " + all,
			},
			[]string{
				"rmdir /cg/mf", "/cg/cgroup.subtree_control = -cpu -memory -pids",
				"/cg/cgroup.procs = 1", "/cg/cgroup.procs = 42", "rmdir /cg/mf-server",
			},
		}, {
			"in a unit with Delegate=yes",
			func(k *fakeKernel) string {
				k.groups["/cg"].files["cgroup.subtree_control"] = "cpu memory pids"
				k.Mkdir("/cg/mayfly.service")
				k.groups["/cg/mayfly.service"].procs = []string{"42"}
				k.delegated, k.log = "/cg/mayfly.service", nil
				return "/mayfly.service"
			},
			[]string{
				"mkdir /cg/mayfly.service/mf-server", "/cg/mayfly.service/mf-server/cgroup.procs = 42",
				"/cg/mayfly.service/cgroup.subtree_control = " + all, "mkdir /cg/mayfly.service/mf",
				"/cg/mayfly.service/mf/cgroup.subtree_control = " + all,
			},
			[]string{
				"rmdir /cg/mayfly.service/mf", "/cg/mayfly.service/cgroup.subtree_control = -cpu -memory -pids",
				"/cg/mayfly.service/cgroup.procs = 42", "rmdir /cg/mayfly.service/mf-server",
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k := newFake("cpuset cpu io memory hugetlb pids")
			self := tc.setUp(k)
			m, err := fakeOpen(k, self)
			if err != nil {
				t.Fatal(err)
			}
			if m.Version() != 2 {
				t.Errorf("version %d", m.Version())
			}
			wantLog(t, k, tc.open...)
			if err := m.Close(); err != nil {
				t.Error(err)
			}
			wantLog(t, k, tc.close...)
		})
	}
}

func TestV2OpenFails(t *testing.T) {
	for _, tc := range []struct {
		name        string
		controllers string
		setUp       func(k *fakeKernel)
		says        string
	}{
		{"a controller is missing", "cpu io", func(*fakeKernel) {}, "has no controller memory, pids (it has: cpu io); enable it"},
		{"read-only", "cpu memory pids", func(k *fakeKernel) { k.fails["write /cg/cgroup.subtree_control"] = unix.EROFS }, "writable control groups"},
		{"not allowed", "cpu memory pids", func(k *fakeKernel) { k.fails["mkdir /cg/mf"] = unix.EACCES }, "run as root"},
		{"others' processes", "cpu memory pids", func(k *fakeKernel) {
			k.namespace = true
			k.groups["/cg"].procs = []string{"1"}
			k.fails["write /cg/mf-server/cgroup.procs"] = unix.EPERM
		}, "move process 1 out of /cg"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k := newFake(tc.controllers)
			tc.setUp(k)
			_, err := fakeOpen(k, "/")
			if err == nil || !strings.Contains(err.Error(), tc.says) || mayfly.KindOf(err) != mayfly.KindUnavailable {
				t.Errorf("err = %v (kind %v), want one that says %q", err, mayfly.KindOf(err), tc.says)
			}
			if k.groups["/cg/mf"] != nil {
				t.Error("the parent group was left behind")
			}
		})
	}
}

func TestV2Group(t *testing.T) {
	k := newFake("cpu memory pids")
	m, err := fakeOpen(k, "/")
	if err != nil {
		t.Fatal(err)
	}
	k.log = nil
	g, err := m.Create("a")
	if err != nil {
		t.Fatal(err)
	}
	const dir = "/cg/mf/a"
	wantLog(t, k, "mkdir "+dir)

	attr := &syscall.SysProcAttr{}
	if err := g.Spawn(attr, func() error { return nil }); err != nil {
		t.Error(err)
	}
	if fd, ok := g.FD(); !ok || !attr.UseCgroupFD || attr.CgroupFD != fd || k.fds[fd] != dir {
		t.Errorf("Spawn set %+v, FD = %d, %v of %s", attr, fd, ok, k.fds[fd])
	}
	for _, step := range []struct {
		do   func() error
		want []string
	}{
		{func() error { return g.Add(77) }, []string{dir + "/cgroup.procs = 77"}},
		{func() error { return g.SetMemory(134217728) }, []string{dir + "/memory.max = 134217728", dir + "/memory.swap.max = 0"}},
		{func() error { return g.SetMemory(0) }, []string{dir + "/memory.max = max", dir + "/memory.swap.max = max"}},
		{func() error { return g.SetCPU(72) }, []string{dir + "/cpu.max = 7200 100000"}},
		{func() error { return g.SetCPU(5788) }, []string{dir + "/cpu.max = 578800 100000"}},
		{func() error { return g.SetCPU(1) }, []string{dir + "/cpu.max = 1000 100000"}},
		{func() error { return g.SetCPU(0) }, []string{dir + "/cpu.max = max 100000"}},
		{func() error { return g.SetPIDs(1024) }, []string{dir + "/pids.max = 1024"}},
		{func() error { return g.SetPIDs(0) }, []string{dir + "/pids.max = max"}},
		{func() error { return g.Freeze(t.Context()) }, []string{dir + "/cgroup.freeze = 1"}},
		{g.Thaw, []string{dir + "/cgroup.freeze = 0"}},
		{g.Kill, []string{dir + "/cgroup.kill = 1"}},
	} {
		if err := step.do(); err != nil {
			t.Error(err)
		}
		wantLog(t, k, step.want...)
	}

	want := Stats{Memory: 1 << 20, PeakMemory: 2 << 20, CPU: 1234567 * time.Microsecond, PIDs: 3, OOMKills: 2, Throttled: 5}
	if s, err := g.Stats(); err != nil || s != want {
		t.Errorf("Stats = %+v, %v, want %+v", s, err, want)
	}
	if err := g.ResetPeak(); err != nil {
		t.Error(err)
	}
	want.PeakMemory = 1500000 // what the descriptor says now
	if s, err := g.Stats(); err != nil || s != want {
		t.Errorf("Stats after ResetPeak = %+v, %v, want %+v", s, err, want)
	}
	k.log = nil
	for range 2 {
		if err := g.Destroy(t.Context()); err != nil {
			t.Error(err)
		}
	}
	wantLog(t, k, "rmdir "+dir)
	if _, ok := g.FD(); ok {
		t.Error("there is a descriptor after Destroy")
	}
	if err := g.Spawn(attr, func() error { t.Error("started"); return nil }); err == nil {
		t.Error("Spawn into a group that is gone worked")
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

func TestV2OldKernels(t *testing.T) {
	k := newFake("cpu memory pids")
	k.lacks = []string{"memory.peak", "memory.swap.max", "cgroup.kill"}
	m, err := fakeOpen(k, "/")
	if err != nil {
		t.Fatal(err)
	}
	g, err := m.Create("a")
	if err != nil {
		t.Fatal(err)
	}
	if s, err := g.Stats(); err != nil || s.PeakMemory != 0 || s.Memory != 1<<20 {
		t.Errorf("Stats = %+v, %v", s, err)
	}
	if err := g.ResetPeak(); !errors.Is(err, ErrUnsupported) {
		t.Errorf("ResetPeak = %v, want ErrUnsupported", err)
	}
	if err := g.SetMemory(1 << 20); err != nil {
		t.Error(err)
	}
	k.log = nil
	if err := g.Kill(); err != nil {
		t.Error(err)
	}
	wantLog(t, k, "/cg/mf/a/pids.max = 0", "/cg/mf/a/cgroup.freeze = 0")
	if err := g.Destroy(t.Context()); err != nil {
		t.Error(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

func TestV2CloseWithGroupsInIt(t *testing.T) {
	k := newFake("cpu memory pids")
	m, err := fakeOpen(k, "/")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Create("a"); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); !errors.Is(err, unix.EBUSY) {
		t.Errorf("Close = %v, want EBUSY", err)
	}
	if err := m.Group("a").Destroy(t.Context()); err != nil {
		t.Error(err)
	}
}
