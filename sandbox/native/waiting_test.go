//go:build linux

package native_test

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"mayfly/sandbox"
)

// waiting has create run a process in the sandbox before it is bound, which then becomes what the test starts. Tests of this
// package do not run in parallel.
var waiting bool

// everyWay runs a test for each way a function can come to run.
func everyWay(t *testing.T, f func(*testing.T)) {
	t.Run("started", f)
	waiting = true
	defer func() { waiting = false }()
	t.Run("waited", f)
}

// waited is a sandbox whose process waits for its order on standard input, as Mayfly's bootstraps do.
type waited struct {
	sandbox.Prestarter
	orders      *os.File
	out, errOut *os.File
}

// prestart has a process wait in the sandbox. It sees the first mount.
func prestart(t *testing.T, s sandbox.Prestarter, b sandbox.Binding) *waited {
	t.Helper()
	w := &waited{Prestarter: s}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.orders = os.NewFile(uintptr(fds[0]), "orders")
	p := sandbox.Process{Args: exe("probe", "obey"), Env: []string{"GORACE=atexit_sleep_ms=0"}, Stdin: os.NewFile(uintptr(fds[1]), "stdin")}
	if w.out, p.Stdout, err = os.Pipe(); err != nil {
		t.Fatal(err)
	}
	if w.errOut, p.Stderr, err = os.Pipe(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.orders.Close(); w.out.Close(); w.errOut.Close() })
	err = s.Prestart(context.Background(), b.Mounts[:1], p)
	for _, f := range []*os.File{p.Stdin, p.Stdout, p.Stderr} {
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	if n, err := w.orders.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Fatalf("the process is not ready: %d %v", n, err)
	}
	b.Mounts = b.Mounts[1:]
	if err := s.Bind(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	return w
}

type order struct {
	Args, Env []string
	Dir       string
}

// Start has the waiting process become another.
func (w *waited) Start(_ context.Context, p sandbox.Process) error {
	for from, to := range map[*os.File]*os.File{w.out: p.Stdout, w.errOut: p.Stderr} {
		into := io.Discard
		if to != nil {
			fd, err := unix.FcntlInt(to.Fd(), unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				return err
			}
			f := os.NewFile(uintptr(fd), "stream")
			into = f
			go func() { defer f.Close(); io.Copy(into, from) }()
			continue
		}
		go io.Copy(into, from)
	}
	if err := json.NewEncoder(w.orders).Encode(order{p.Args, p.Env, p.Dir}); err != nil {
		return err
	}
	return w.orders.Close()
}

// obey is the waiting process.
func obey([]string) (string, error) {
	if _, err := os.Stdin.WriteString("\n"); err != nil {
		return "", err
	}
	var o order
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		return "", err
	}
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	if err := unix.Dup3(int(null.Fd()), 0, 0); err != nil {
		return "", err
	}
	if o.Dir != "" {
		if err := os.Chdir(o.Dir); err != nil {
			return "", err
		}
	}
	return "", syscall.Exec(o.Args[0], o.Args, o.Env)
}
