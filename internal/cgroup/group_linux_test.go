package cgroup

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain doubles as the programs the tests put into groups: the test binary runs itself with CGROUP_TEST_DO set.
func TestMain(m *testing.M) {
	switch os.Getenv("CGROUP_TEST_DO") {
	case "":
		os.Exit(m.Run())
	case "wait":
		os.Stdout.WriteString("up\n")
		unix.Pause()
	case "memory": // takes memory until it is killed
		for {
			b := make([]byte, 1<<20)
			for i := range b {
				b[i] = 1
			}
			hoard = append(hoard, b)
		}
	case "spin":
		os.Stdout.WriteString("up\n")
		for spun := 0; ; spun++ {
			runtime.KeepAlive(spun)
		}
	}
}

var hoard [][]byte

// realManager is a Manager on this machine's own hierarchies.
func realManager(t testing.TB) *Manager {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes control groups in this machine's hierarchies")
	}
	m, err := Open(Options{Parent: testParent(t)})
	if err != nil {
		t.Skipf("needs usable control groups: %v", err)
	}
	cleanUp(t, m)
	return m
}

// coreV2 is a Manager on a real unified hierarchy that may have no controllers, as on a machine where they are bound to
// v1. Killing, freezing and being born in a group work there too.
func coreV2(t testing.TB) *Manager {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes control groups in this machine's hierarchies")
	}
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var v2 string
	for line := range strings.Lines(string(info)) {
		if ms := parseMounts(line); len(ms) == 1 && ms[0].v2 && !ms[0].readOnly {
			v2 = line
		}
	}
	if v2 == "" {
		t.Skip("needs a mounted cgroup2 hierarchy")
	}
	m, err := open(Options{Parent: testParent(t)}, environment{fs: kernelFiles{}, mountinfo: v2, self: "0::/\n"})
	if err != nil {
		t.Fatal(err)
	}
	cleanUp(t, m)
	return m
}

func testParent(t testing.TB) string {
	var b [4]byte
	rand.Read(b[:])
	return "mayfly-test-" + hex.EncodeToString(b[:])
}

// cleanUp removes what a failed test left, and fails the test if there was anything or if something stays.
func cleanUp(t testing.TB, m *Manager) {
	t.Cleanup(func() {
		for _, id := range m.List() {
			t.Errorf("group %s was left behind", id)
			g := m.Group(id)
			g.Kill()
			g.Destroy(t.Context())
		}
		if err := m.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		for _, dir := range m.dirs {
			if _, err := os.Stat(dir); err == nil {
				t.Errorf("%s is still there", dir)
			}
		}
	})
}

func eachVersion(t *testing.T, test func(t *testing.T, m *Manager)) {
	t.Run("machine", func(t *testing.T) { test(t, realManager(t)) })
	t.Run("core v2", func(t *testing.T) { test(t, coreV2(t)) })
}

func create(t testing.TB, m *Manager) *Group {
	t.Helper()
	g, err := m.Create("g" + strings.TrimPrefix(testParent(t), "mayfly-test-"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { destroy(t, g) })
	return g
}

func destroy(t testing.TB, g *Group) {
	t.Helper()
	if err := g.Kill(); err != nil {
		t.Errorf("Kill: %v", err)
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	if err := g.Destroy(ctx); err != nil {
		t.Errorf("Destroy: %v", err)
	}
}

// spawn starts a program in the group and returns once it runs.
func spawn(t testing.TB, g *Group, do string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "CGROUP_TEST_DO="+do)
	start(t, g, cmd)
	return cmd
}

func start(t testing.TB, g *Group, cmd *exec.Cmd) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if err := g.Spawn(cmd.SysProcAttr, cmd.Start); err != nil {
		t.Fatalf("Spawn: %v", err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	if !strings.Contains(strings.Join(cmd.Env, " "), "CGROUP_TEST_DO=memory") {
		if _, err := out.Read(make([]byte, 3)); err != nil {
			t.Fatalf("the program did not come up: %v", err)
		}
	}
}

// killedBy waits for the end of a program and tells the signal that brought it.
func killedBy(t *testing.T, cmd *exec.Cmd) syscall.Signal {
	t.Helper()
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) {
		t.Fatalf("Wait: %v, want death by a signal", err)
	}
	return exit.Sys().(syscall.WaitStatus).Signal()
}

func TestSpawnIsBornInTheGroup(t *testing.T) {
	eachVersion(t, func(t *testing.T, m *Manager) {
		g := create(t, m)
		before, err := os.ReadFile("/proc/self/cgroup")
		if err != nil {
			t.Fatal(err)
		}
		cmd := spawn(t, g, "wait")
		pids, err := g.Processes()
		if err != nil || !slices.Equal(pids, []int{cmd.Process.Pid}) {
			t.Errorf("processes = %v, %v, want [%d]", pids, err, cmd.Process.Pid)
		}
		text, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "cgroup"))
		groups, in := parseSelf(string(text)), 0
		for _, path := range groups {
			if strings.HasSuffix(path, "/"+g.ID()) {
				in++
			}
		}
		if want := len(m.dirs); in != want {
			t.Errorf("the process is in %d hierarchies' groups, want %d: %v", in, want, groups)
		}
		// Every thread of this process is back where it was.
		tasks, _ := filepath.Glob("/proc/self/task/*/cgroup")
		for _, f := range tasks {
			if now, err := os.ReadFile(f); err == nil && string(now) != string(before) {
				t.Errorf("%s = %q, want %q", f, now, before)
			}
		}
		fd, ok := g.FD()
		if ok != (m.Version() == 2) || ok != (fd >= 0) {
			t.Errorf("FD = %d, %v on v%d", fd, ok, m.Version())
		}
	})
}

// In a container without a cgroup namespace this process's own group cannot be seen.
func TestSpawnWithoutAVisibleHome(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes control groups in this machine's hierarchies")
	}
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if v1, _ := choose(parseMounts(string(info)), ""); len(v1) == 0 {
		t.Skip("needs cgroup v1: on v2 no thread travels")
	}
	self, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	out := strings.ReplaceAll(string(self), ":/", ":/../")
	m, err := open(Options{Parent: testParent(t)}, environment{kernelFiles{}, string(info), out, nil})
	if err != nil {
		t.Fatal(err)
	}
	cleanUp(t, m)
	g := create(t, m)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "CGROUP_TEST_DO=wait")
	start(t, g, cmd)
	if pids, err := g.Processes(); err != nil || !slices.Equal(pids, []int{cmd.Process.Pid}) {
		t.Errorf("processes = %v, %v, want [%d]", pids, err, cmd.Process.Pid)
	}
	// This test leaves a thread at the top of the hierarchies; take it back.
	ours, err := open(Options{Parent: testParent(t)}, environment{kernelFiles{}, string(info), string(self), nil})
	if err != nil {
		t.Fatal(err)
	}
	cleanUp(t, ours)
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		for _, fd := range ours.home {
			ours.fs.WriteFD(fd, task.Name())
		}
	}
}

func TestKillSparesThisProcess(t *testing.T) {
	m := realManager(t)
	g := create(t, m)
	// A Destroy may come while a Spawn is under way, when a thread of this very process is in the group.
	err := g.Spawn(&syscall.SysProcAttr{}, func() error {
		pids, err := g.Processes()
		if err != nil || len(pids) != 0 {
			t.Errorf("processes = %v, %v, want none", pids, err)
		}
		return g.Kill()
	})
	if err != nil {
		t.Error(err)
	}
	if m.Version() == 1 {
		cmd := exec.Command("/proc/self/exe")
		cmd.SysProcAttr = &syscall.SysProcAttr{}
		if err := g.Spawn(cmd.SysProcAttr, cmd.Start); err == nil {
			cmd.Process.Kill()
			cmd.Wait()
			t.Error("a process could be born in a killed group")
		}
	}
}

func TestAdd(t *testing.T) {
	eachVersion(t, func(t *testing.T, m *Manager) {
		g := create(t, m)
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), "CGROUP_TEST_DO=wait")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		if err := g.Add(cmd.Process.Pid); err != nil {
			t.Fatal(err)
		}
		if pids, err := g.Processes(); err != nil || !slices.Equal(pids, []int{cmd.Process.Pid}) {
			t.Errorf("processes = %v, %v, want [%d]", pids, err, cmd.Process.Pid)
		}
	})
}

func TestMemoryLimitKills(t *testing.T) {
	m := realManager(t)
	g := create(t, m)
	const limit = 48 << 20
	if err := g.SetMemory(limit); err != nil {
		t.Fatal(err)
	}
	cmd := spawn(t, g, "memory")
	if sig := killedBy(t, cmd); sig != syscall.SIGKILL {
		t.Errorf("ended by %v, want SIGKILL", sig)
	}
	s, err := g.Stats()
	if err != nil {
		t.Fatal(err)
	}
	// The kernel lets a process that it is killing have a few more pages, so that it gets to its end.
	const dying = 64 << 12
	if s.OOMKills != 1 || s.PeakMemory > limit+dying || s.PeakMemory < limit*3/4 || s.CPU <= 0 {
		t.Errorf("stats = %+v, want one kill, a peak about %d and time used", s, limit)
	}
	if peak, err := g.PeakMemory(); err != nil || peak != s.PeakMemory {
		t.Errorf("PeakMemory = %d, %v; Stats has %d", peak, err, s.PeakMemory)
	}
	if err := g.ResetPeak(); err != nil && !errors.Is(err, ErrUnsupported) {
		t.Fatal(err)
	} else if err == nil {
		if s, err = g.Stats(); err != nil || s.PeakMemory > limit/2 {
			t.Errorf("stats after ResetPeak = %+v, %v", s, err)
		}
		if peak, err := g.PeakMemory(); err != nil || peak != s.PeakMemory {
			t.Errorf("after ResetPeak PeakMemory = %d, %v; Stats has %d", peak, err, s.PeakMemory)
		}
	}
}

func TestMemoryLimitCanChange(t *testing.T) {
	m := realManager(t)
	g := create(t, m)
	for _, limit := range []int64{64 << 20, 256 << 20, 32 << 20, 0, 128 << 20} {
		if err := g.SetMemory(limit); err != nil {
			t.Errorf("SetMemory(%d): %v", limit, err)
		}
	}
	file := map[int]string{1: "memory.limit_in_bytes", 2: "memory.max"}[m.Version()]
	if got, err := g.readInt("memory", file); err != nil || got != 128<<20 {
		t.Errorf("%s = %d, %v", file, got, err)
	}
}

func TestCPULimitThrottles(t *testing.T) {
	m := realManager(t)
	g := create(t, m)
	spawn(t, g, "spin")
	if err := g.SetCPU(100); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "throttling", func() bool {
		s, err := g.Stats()
		if err != nil {
			t.Fatal(err)
		}
		return s.Throttled >= 2
	})
	if err := g.SetCPU(0); err != nil {
		t.Error(err)
	}
}

func TestPIDsLimitStopsForks(t *testing.T) {
	m := realManager(t)
	g := create(t, m)
	if err := g.SetPIDs(30); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", `echo up; while :; do sleep 1000 & done 2>/dev/null; wait`)
	start(t, g, cmd)
	waitFor(t, "a refused fork", func() bool {
		text, err := g.read("pids", "pids.events")
		if err != nil {
			t.Fatal(err)
		}
		return field(text, "max") > 0
	})
	if s, err := g.Stats(); err != nil || s.PIDs > 30 || s.PIDs == 0 {
		t.Errorf("stats = %+v, %v, want 1 to 30 processes", s, err)
	}
}

// The bomb spreads to 127 processes in sessions of their own, half of which then fork without end.
func TestKillEndsAForkBomb(t *testing.T) {
	eachVersion(t, func(t *testing.T, m *Manager) {
		g := create(t, m)
		if m.Version() == 1 {
			if err := g.SetPIDs(200); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command("/bin/sh")
		cmd.Args = []string{"sh", "-c", `echo up; eval "$BOMB"`, "x", "0"}
		cmd.Env = append(os.Environ(), "BOMB="+`if [ "$1" -lt 6 ]; then
				setsid sh -c 'eval "$BOMB"' x $(($1+1)) & setsid sh -c 'eval "$BOMB"' x $(($1+1)) &
				wait
			else while :; do /bin/true; done; fi`)
		start(t, g, cmd)
		waitFor(t, "the bomb to spread", func() bool {
			pids, err := g.Processes()
			if err != nil {
				t.Fatal(err)
			}
			return len(pids) > 40
		})
		destroy(t, g)
		if pids, err := g.Processes(); err != nil || len(pids) != 0 {
			t.Errorf("processes left: %v, %v", pids, err)
		}
		if sig := killedBy(t, cmd); sig != syscall.SIGKILL {
			t.Errorf("the first one ended by %v", sig)
		}
	})
}

func TestFreeze(t *testing.T) {
	eachVersion(t, func(t *testing.T, m *Manager) {
		g := create(t, m)
		cmd := spawn(t, g, "spin")
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if err := g.Freeze(ctx); err != nil {
			t.Fatal(err)
		}
		frozen := ticks(t, cmd.Process.Pid)
		for range 50 { // give it every chance to run
			syscall.Select(0, nil, nil, nil, &syscall.Timeval{Usec: 1000})
		}
		if now := ticks(t, cmd.Process.Pid); now != frozen {
			t.Errorf("a frozen process used %s ticks after %s", now, frozen)
		}
		if err := g.Thaw(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the process to go on", func() bool { return ticks(t, cmd.Process.Pid) != frozen })
		// Kill has to reach a frozen one too.
		if err := g.Freeze(ctx); err != nil {
			t.Fatal(err)
		}
		if err := g.Kill(); err != nil {
			t.Fatal(err)
		}
		if sig := killedBy(t, cmd); sig != syscall.SIGKILL {
			t.Errorf("ended by %v", sig)
		}
	})
}

func TestKillFallbackOnV2(t *testing.T) {
	m := coreV2(t)
	g := create(t, m)
	m.fs = without{m.fs, "cgroup.kill"}
	cmd := spawn(t, g, "wait")
	if err := g.Freeze(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := g.Kill(); err != nil {
		t.Fatal(err)
	}
	if sig := killedBy(t, cmd); sig != syscall.SIGKILL {
		t.Errorf("ended by %v", sig)
	}
}

// without is a kernel that lacks a file.
type without struct {
	files
	name string
}

func (w without) Write(path, value string) error {
	if filepath.Base(path) == w.name {
		return &os.PathError{Op: "open", Path: path, Err: unix.ENOENT}
	}
	return w.files.Write(path, value)
}

func TestDestroyWaitsAndTellsWhoIsLeft(t *testing.T) {
	eachVersion(t, func(t *testing.T, m *Manager) {
		g := create(t, m)
		cmd := spawn(t, g, "wait")
		ctx, stop := context.WithCancel(t.Context())
		stop()
		err := g.Destroy(ctx)
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), strconv.Itoa(cmd.Process.Pid)) {
			t.Errorf("Destroy = %v, want a cancellation that names process %d", err, cmd.Process.Pid)
		}
		removed := make(chan error, 1)
		go func() { removed <- g.Destroy(t.Context()) }()
		cmd.Process.Kill()
		if err := <-removed; err != nil {
			t.Errorf("Destroy: %v", err)
		}
		if err := g.Destroy(t.Context()); err != nil {
			t.Errorf("the second Destroy: %v", err)
		}
		if err := g.Kill(); err != nil {
			t.Errorf("Kill of a group that is gone: %v", err)
		}
		if ids := m.List(); len(ids) != 0 {
			t.Errorf("List = %v", ids)
		}
	})
}

func TestSweepAfterDeath(t *testing.T) {
	eachVersion(t, func(t *testing.T, m *Manager) {
		g := create(t, m)
		spawn(t, g, "wait")
		for _, dir := range m.dirs { // a group below it, as a process with a writable cgroup mount might make
			if err := os.Mkdir(dir+"/"+g.ID()+"/below", 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if ids := m.List(); !slices.Equal(ids, []string{g.ID()}) {
			t.Fatalf("List = %v, want [%s]", ids, g.ID())
		}
		again := m.Group(g.ID())
		destroy(t, again)
		if ids := m.List(); len(ids) != 0 {
			t.Errorf("List = %v, want none", ids)
		}
	})
}

func TestCreateTwiceFails(t *testing.T) {
	m := realManager(t)
	g := create(t, m)
	if _, err := m.Create(g.ID()); !errors.Is(err, unix.EEXIST) {
		t.Errorf("err = %v, want EEXIST", err)
	}
	// A clash in a later hierarchy leaves nothing in the earlier ones.
	if len(m.dirs) > 1 {
		last := m.dirs[len(m.dirs)-1] + "/clash"
		if err := os.Mkdir(last, 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Create("clash"); !errors.Is(err, unix.EEXIST) {
			t.Errorf("err = %v, want EEXIST", err)
		}
		os.Remove(last)
		if ids := m.List(); slices.Contains(ids, "clash") {
			t.Errorf("List = %v", ids)
		}
	}
	for _, id := range []string{"", ".", "..", "a/b", "cgroup.procs", "a\nb"} {
		if _, err := m.Create(id); err == nil {
			t.Errorf("Create(%q) worked", id)
		}
	}
}

func TestNoDescriptorsLeak(t *testing.T) {
	eachVersion(t, func(t *testing.T, m *Manager) {
		count := func() int {
			fds, err := os.ReadDir("/proc/self/fd")
			if err != nil {
				t.Fatal(err)
			}
			return len(fds)
		}
		before := count()
		for range 5 {
			g, err := m.Create("leak")
			if err != nil {
				t.Fatal(err)
			}
			g.ResetPeak()
			g.Stats()
			destroy(t, g)
		}
		if after := count(); after != before {
			t.Errorf("%d descriptors before, %d after", before, after)
		}
	})
}

// ticks is the processor time of a process so far, as the kernel writes it.
func ticks(t *testing.T, pid int) string {
	t.Helper()
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')'):]))
	return f[12] + "+" + f[13]
}

// waitFor polls what has no event.
func waitFor(t *testing.T, what string, f func() bool) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	if err := poll(ctx, func() (bool, error) { return f(), nil }); err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}
