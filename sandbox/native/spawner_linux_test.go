package native

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mayfly/internal/cgroup"
)

// unified is where the v2 hierarchy is mounted; it may have no controllers.
func unified(t *testing.T) string {
	t.Helper()
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var st unix.Statfs_t
		if unix.Statfs(dir, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
			return dir
		}
	}
	t.Skip("no v2 control groups here")
	return ""
}

// TestSpawnIntoGroup covers the v2 way into a control group, whichever version the drivers of this machine use.
func TestSpawnIntoGroup(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("native sandboxes need root")
	}
	dir, err := os.MkdirTemp(unified(t), "mayfly-test-")
	if err != nil {
		t.Skip(err)
	}
	defer func() {
		if err := unix.Rmdir(dir); err != nil {
			t.Error(err)
		}
	}()
	group, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(group)
	s, err := startSpawner(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	c, err := newControl(fds[0], s.base, func(uint32) {}, func() { close(gone) })
	if err != nil {
		t.Fatal(err)
	}
	pid, pidFD, err := s.spawn(1<<31, UIDsPerSandbox, fds[1], group)
	unix.Close(fds[1])
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidFD)
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil || strings.TrimSpace(string(b)) != fmt.Sprint(pid) {
		t.Errorf("cgroup.procs %q, want %d, %v", b, pid, err)
	}
	// A program stops at the first call that fails, and says which.
	p := &program{}
	p.call("first", unix.SYS_GETPID)
	p.call("second", unix.SYS_CHDIR, p.str("/no/such/folder"))
	p.call("third", unix.SYS_EXIT_GROUP, num(1))
	if _, err := c.call(context.Background(), p); !errors.Is(err, unix.ENOENT) || !strings.HasPrefix(err.Error(), "second: ") {
		t.Errorf("%v", err)
	}
	// What is allowed to fail does not stop it, and results are handed on.
	p = &program{}
	p.call("missing", unix.SYS_CHDIR, p.str("/no/such/folder"))
	p.allow(unix.ENOENT)
	p.call("pipe", unix.SYS_EVENTFD2, num(5), num(unix.O_CLOEXEC))
	p.answer(p.result())
	fd, err := c.call(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	var n [8]byte
	if k, err := unix.Read(fd, n[:]); k != 8 || err != nil || n[0] != 5 {
		t.Errorf("read %d %v %v", k, n, err)
	}
	unix.Close(fd)
	p = &program{}
	p.bytes(make([]byte, programMax))
	if _, err := c.call(context.Background(), p); !errors.Is(err, unix.E2BIG) {
		t.Errorf("too large: %v", err)
	}
	c.close() // as when the server dies: the init ends
	<-gone
	poll := []unix.PollFd{{Fd: int32(pidFD), Events: unix.POLLIN}}
	for {
		if k, err := unix.Poll(poll, 20000); err != unix.EINTR {
			if k != 1 || err != nil {
				t.Errorf("the init stays: %d %v", k, err)
			}
			break
		}
	}
	if _, err := c.call(context.Background(), &program{}); !errors.Is(err, errInitGone) {
		t.Errorf("call after the end: %v", err)
	}
}

// TestOptions covers what New refuses.
func TestOptions(t *testing.T) {
	if _, err := New(Options{}); err == nil || !strings.Contains(err.Error(), "DataDir") {
		t.Errorf("no data directory: %v", err)
	}
	if os.Geteuid() != 0 {
		if _, err := New(Options{DataDir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "--isolation=none") {
			t.Errorf("not root: %v", err)
		}
		return
	}
	if _, err := New(Options{DataDir: t.TempDir(), UIDBase: 500}); err == nil || !strings.Contains(err.Error(), "user id base") {
		t.Errorf("a low base: %v", err)
	}
	if _, err := New(Options{DataDir: t.TempDir(), CgroupRoot: t.TempDir()}); err == nil {
		t.Error("made without control groups")
	} else if errors.Is(err, cgroup.ErrUnsupported) {
		t.Errorf("does not say what to do: %v", err)
	}
}

func TestRequirements(t *testing.T) {
	for _, f := range requirements() {
		if f.name == "" || f.text == "" || !f.ok && f.fix == "" {
			t.Errorf("%+v", f)
		}
	}
}
