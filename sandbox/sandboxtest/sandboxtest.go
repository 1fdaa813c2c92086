// Package sandboxtest is the suite that every sandbox driver passes.
//
// A driver's test package calls Helper first thing in TestMain, and Run in a test.
package sandboxtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mayfly"
	"mayfly/sandbox"
)

// Traits say what a driver promises beyond running processes.
type Traits struct {
	Isolated bool // own network and root, read-only mounts, limits
}

// Run runs the suite. newDriver makes a driver that the suite closes.
func Run(t *testing.T, newDriver func(t *testing.T) sandbox.Driver, traits Traits) {
	d := newDriver(t)
	defer func() {
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	s := &suite{d: d, traits: traits}
	before := s.footprint()
	for _, c := range []struct {
		name string
		f    func(*testing.T)
	}{
		{"states", s.states}, {"ids", s.ids}, {"exit code", s.exitCode}, {"signal", s.signal}, {"streams", s.streams}, {"stdin", s.stdin},
		{"environment", s.environment}, {"missing program", s.missing}, {"bad source", s.badSource}, {"large environment", s.large},
		{"mounts", s.mounts}, {"listener", s.listener}, {"destroy", s.destroy}, {"destroy early", s.destroyEarly},
		{"destroy while starting", s.destroyRace}, {"usage", s.usage}, {"parallel", s.parallel}, {"canceled", s.canceled}, {"prestart", s.prestart},
		{"connect", s.connect}, {"freeze", s.freeze},
	} {
		t.Run(c.name, c.f)
	}
	s.nothingLeft(t, before)
}

type suite struct {
	d      sandbox.Driver
	traits Traits
	mu     sync.Mutex
	n      int
}

func context10(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func (s *suite) id() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	return fmt.Sprintf("suite-%d", s.n)
}

// create makes a sandbox that is destroyed with the test.
func (s *suite) create(t *testing.T) sandbox.Sandbox {
	t.Helper()
	b, err := s.d.Create(context10(t), s.id())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Destroy(context.Background()); err != nil {
			t.Errorf("destroy: %v", err)
		}
	})
	return b
}

// Binding shows the helper at /var/task.
func Binding() sandbox.Binding {
	return sandbox.Binding{
		Mounts: []sandbox.Mount{{Source: filepath.Dir(executable()), Target: "/var/task"}},
		Limits: sandbox.Limits{MemoryBytes: 256 << 20, Millicores: 2000, Processes: 200, OpenFiles: 1024, TmpBytes: 64 << 20},
		Egress: sandbox.Egress{Mode: sandbox.EgressNone},
	}
}

func (s *suite) bound(t *testing.T) sandbox.Sandbox {
	t.Helper()
	b := s.create(t)
	if err := b.Bind(context10(t), Binding()); err != nil {
		t.Fatal(err)
	}
	return b
}

// Output runs a process to its end and returns what it printed.
func Output(t *testing.T, b sandbox.Sandbox, p sandbox.Process) (stdout, stderr string, exit mayfly.Exit) {
	t.Helper()
	out, err := capture(&p.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	errs, err := capture(&p.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	err = b.Start(context10(t), p)
	p.Stdout.Close()
	p.Stderr.Close()
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-b.Done():
	case <-time.After(time.Minute):
		t.Error("the process does not end")
		b.Destroy(context.Background())
	}
	return <-out, <-errs, b.Exit()
}

// capture sets w to a pipe and returns what comes out of it.
func capture(w **os.File) (<-chan string, error) {
	r, p, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	*w = p
	text := make(chan string, 1)
	go func() {
		var b bytes.Buffer
		io.Copy(&b, r)
		r.Close()
		text <- b.String()
	}()
	return text, nil
}

func (s *suite) states(t *testing.T) {
	ctx := context10(t)
	b := s.create(t)
	stateError := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, sandbox.ErrState) {
			t.Errorf("%s: %v, want ErrState", what, err)
		}
	}
	wait := sandbox.Process{Args: Command("wait")}
	stateError("start before bind", b.Start(ctx, wait))
	if err := b.Bind(ctx, Binding()); err != nil {
		t.Fatal(err)
	}
	stateError("second bind", b.Bind(ctx, Binding()))
	if err := b.Start(ctx, wait); err != nil {
		t.Fatal(err)
	}
	stateError("second start", b.Start(ctx, wait))
	stateError("bind after start", b.Bind(ctx, Binding()))
	select {
	case <-b.Done():
		t.Errorf("done while the process runs: %v", b.Exit())
	default:
	}
	if e := b.Exit(); e != (mayfly.Exit{}) {
		t.Errorf("exit while the process runs: %+v", e)
	}
	if err := b.Destroy(ctx); err != nil {
		t.Fatal(err)
	}
	<-b.Done()
	stateError("bind after destroy", b.Bind(ctx, Binding()))
	stateError("start after destroy", b.Start(ctx, wait))
	_, err := b.Listen(9001)
	stateError("listen after destroy", err)
	_, err = b.ListenPacket(53)
	stateError("listen packet after destroy", err)
	stateError("limit after destroy", b.SetCPU(1000))
	_, err = b.Usage()
	stateError("usage after destroy", err)
}

func (s *suite) ids(t *testing.T) {
	if b := s.create(t); b.ID() == "" {
		t.Error("no id")
	}
	for _, id := range []string{"", "UPPER", "a/b", "..", strings.Repeat("x", 41)} {
		if b, err := s.d.Create(context10(t), id); err == nil {
			b.Destroy(context.Background())
			t.Errorf("id %q was taken", id)
		}
	}
}

func (s *suite) exitCode(t *testing.T) {
	for _, code := range []int{0, 1, 42, 255} {
		_, stderr, e := Output(t, s.bound(t), sandbox.Process{Args: Command("exit", fmt.Sprint(code))})
		if e != (mayfly.Exit{Code: code}) {
			t.Errorf("exit %d: %+v %s", code, e, stderr)
		}
	}
}

func (s *suite) signal(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		_, stderr, e := Output(t, s.bound(t), sandbox.Process{Args: Command("signal", fmt.Sprint(int(sig)))})
		if e != (mayfly.Exit{Signal: int(sig), SignalTxt: sig.String()}) {
			t.Errorf("%v: %+v %s", sig, e, stderr)
		}
	}
}

func (s *suite) streams(t *testing.T) {
	stdout, stderr, e := Output(t, s.bound(t), sandbox.Process{Args: Command("streams")})
	if stdout != "to stdout" || stderr != "to stderr" || e.Code != 0 {
		t.Errorf("stdout %q, stderr %q, %+v", stdout, stderr, e)
	}
}

func (s *suite) stdin(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.WriteString("to stdin"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	stdout, stderr, e := Output(t, s.bound(t), sandbox.Process{Args: Command("echo"), Stdin: r})
	if stdout != "to stdin" || e.Code != 0 {
		t.Errorf("stdout %q, stderr %q, %+v", stdout, stderr, e)
	}
}

func (s *suite) environment(t *testing.T) {
	env := []string{"A=1", "EMPTY=", "SPACE=a b", "WIDE=ünï", "LINES=a\nb"}
	stdout, stderr, _ := Output(t, s.bound(t), sandbox.Process{Args: Command("report", "an argument", ""), Env: env, Dir: "/"})
	var r report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	if !slices.Equal(r.Env, env) || r.Dir != "/" || !slices.Equal(r.Args, []string{"an argument", ""}) {
		t.Errorf("got %+v", r)
	}
}

func (s *suite) large(t *testing.T) {
	value := "BIG=" + strings.Repeat("x", 100<<10)
	env := []string{value, "B" + value, "C" + value}
	stdout, stderr, e := Output(t, s.bound(t), sandbox.Process{Args: Command("report"), Env: env})
	if e.Code != 0 || !strings.Contains(stdout, value) {
		t.Errorf("%+v %s", e, stderr)
	}
}

func (s *suite) missing(t *testing.T) {
	b := s.bound(t)
	err := b.Start(context10(t), sandbox.Process{Args: []string{"/var/task/no-such-program"}})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("start: %v, want a not-exist error", err)
	}
}

func (s *suite) badSource(t *testing.T) {
	b := s.create(t)
	err := b.Bind(context10(t), sandbox.Binding{Mounts: []sandbox.Mount{{Source: filepath.Join(t.TempDir(), "none"), Target: "/var/task"}}})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("bind: %v, want a not-exist error", err)
	}
}

func (s *suite) mounts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a folder with spaces, commas: colons")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "data.txt"), []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	with := func() sandbox.Sandbox {
		b := s.create(t)
		bind := Binding()
		bind.Mounts = append(bind.Mounts, sandbox.Mount{Source: dir, Target: "/opt"})
		if err := b.Bind(context10(t), bind); err != nil {
			t.Fatal(err)
		}
		return b
	}
	if stdout, stderr, _ := Output(t, with(), sandbox.Process{Args: Command("cat", "/opt/data.txt")}); stdout != "hello" {
		t.Errorf("read %q: %s", stdout, stderr)
	}
	if !s.traits.Isolated {
		return
	}
	for _, path := range []string{"/opt/data.txt", "/opt/new", "/var/task/new", "/new", "/usr/new"} {
		if _, stderr, e := Output(t, with(), sandbox.Process{Args: Command("write", path)}); e.Code == 0 || !strings.Contains(stderr, "read-only file system") && !strings.Contains(stderr, "permission denied") {
			t.Errorf("write %s: %+v %s", path, e, stderr)
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, "data.txt")); string(b) != "hello" {
		t.Errorf("the source was changed: %q %v", b, err)
	}
}

func (s *suite) listener(t *testing.T) {
	b := s.create(t)
	l, err := b.Listen(9001)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.ListenPacket(53); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				served <- err
				return
			}
			io.WriteString(c, "from the server")
			c.Close()
		}
	}()
	if err := b.Bind(context10(t), Binding()); err != nil {
		t.Fatal(err)
	}
	if s.traits.Isolated {
		if c, err := net.DialTimeout("tcp", "127.0.0.1:9001", time.Second); err == nil {
			c.Close()
			t.Error("the listener is reachable from outside")
		}
	}
	stdout, stderr, e := Output(t, b, sandbox.Process{Args: Command("call", "127.0.0.1:9001")})
	if stdout != "from the server" {
		t.Errorf("called: %q %+v %s", stdout, e, stderr)
	}
	if err := b.Destroy(context10(t)); err != nil {
		t.Fatal(err)
	}
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept after destroy: %v", err)
	}
}

// running starts a command that prints "ready" and returns its output.
func (s *suite) running(t *testing.T, words ...string) (sandbox.Sandbox, *os.File) {
	t.Helper()
	b := s.bound(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	err = b.Start(context10(t), sandbox.Process{Args: Command(words...), Stdout: w, Stderr: w})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 6)
	if _, err := io.ReadFull(r, line); err != nil || string(line) != "ready\n" {
		t.Fatalf("%q %v", line, err)
	}
	return b, r
}

func (s *suite) destroy(t *testing.T) {
	b, r := s.running(t, "family")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := b.Destroy(context10(t)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	<-b.Done()
	if e := b.Exit(); e.Signal != int(syscall.SIGKILL) || e.SignalTxt != "killed" {
		t.Errorf("%+v", e)
	}
	// Every process held the pipe: its end shows that all are gone.
	if b, err := io.ReadAll(r); err != nil || len(b) != 0 {
		t.Errorf("%q %v", b, err)
	}
}

func (s *suite) destroyEarly(t *testing.T) {
	b := s.create(t)
	if err := b.Destroy(context10(t)); err != nil {
		t.Error(err)
	}
	<-b.Done()
	b = s.bound(t)
	if err := b.Destroy(context10(t)); err != nil {
		t.Error(err)
	}
	<-b.Done()
}

func (s *suite) destroyRace(t *testing.T) {
	for range 10 {
		b := s.create(t)
		var wg sync.WaitGroup
		wg.Go(func() {
			if b.Bind(context10(t), Binding()) == nil {
				b.Start(context10(t), sandbox.Process{Args: Command("wait")})
			}
		})
		wg.Go(func() {
			if err := b.Destroy(context10(t)); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		<-b.Done()
	}
}

func (s *suite) usage(t *testing.T) {
	b, _ := s.running(t, "wait")
	u, err := b.Usage()
	if err != nil {
		t.Fatal(err)
	}
	if u.Processes < 1 {
		t.Errorf("%+v", u)
	}
	if s.traits.Isolated && (u.MemoryBytes <= 0 || u.PeakMemoryBytes < u.MemoryBytes/2 || u.CPU <= 0) {
		t.Errorf("%+v", u)
	}
	for _, m := range []int{500, 0, 2000} {
		if err := b.SetCPU(m); err != nil {
			t.Errorf("SetCPU(%d): %v", m, err)
		}
	}
}

func (s *suite) parallel(t *testing.T) {
	const n = 60
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			b, err := s.d.Create(context10(t), s.id())
			if err != nil {
				t.Error(err)
				return
			}
			defer func() {
				if err := b.Destroy(context10(t)); err != nil {
					t.Error(err)
				}
			}()
			if _, err := b.Listen(9001); err != nil {
				t.Error(err)
				return
			}
			if err := b.Bind(context10(t), Binding()); err != nil {
				t.Error(err)
				return
			}
			if err := b.Start(context10(t), sandbox.Process{Args: Command("exit", fmt.Sprint(i))}); err != nil {
				t.Error(err)
				return
			}
			<-b.Done()
			if e := b.Exit(); e != (mayfly.Exit{Code: i}) {
				t.Errorf("exit %d: %+v", i, e)
			}
		})
	}
	wg.Wait()
}

func (s *suite) canceled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if b, err := s.d.Create(ctx, s.id()); err == nil {
		b.Destroy(context.Background())
		t.Error("created with an ended context")
	}
	b := s.bound(t)
	if err := b.Start(ctx, sandbox.Process{Args: Command("wait")}); err == nil {
		t.Error("started with an ended context")
	}
	if err := b.Destroy(ctx); err != nil {
		t.Errorf("destroy with an ended context: %v", err)
	}
}

// prestart has a process boot, and only then shows it a function.
func (s *suite) prestart(t *testing.T) {
	b, ok := s.create(t).(sandbox.Prestarter)
	if !ok {
		t.Skip("this driver has no prestarted processes")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "code"), []byte("the function"), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := b.Listen(9001)
	if err != nil {
		t.Fatal(err)
	}
	p := sandbox.Process{Args: Command("obey", "127.0.0.1:9001")}
	out, err := capture(&p.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	p.Stderr = p.Stdout
	err = b.Prestart(context10(t), Binding().Mounts, p)
	p.Stdout.Close()
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept() // it runs
	if err != nil {
		t.Fatal(err)
	}
	bind := Binding()
	bind.Mounts = []sandbox.Mount{{Source: dir, Target: "/opt"}}
	if err := b.Bind(context10(t), bind); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"second bind": b.Bind(context10(t), bind), "start": b.Start(context10(t), p), "second prestart": b.Prestart(context10(t), nil, p),
	} {
		if !errors.Is(err, sandbox.ErrState) {
			t.Errorf("%s: %v, want ErrState", what, err)
		}
	}
	io.WriteString(c, "cat\n/opt/code")
	c.Close()
	if text := <-out; text != "the function" {
		t.Errorf("printed %q", text)
	}
	<-b.Done()
	if e := b.Exit(); e != (mayfly.Exit{}) {
		t.Errorf("%+v", e)
	}
}

func (s *suite) connect(t *testing.T) {
	b, ok := s.create(t).(sandbox.Connecter)
	if !ok {
		t.Skip("this driver does not connect ahead of need")
	}
	if err := b.Connect(context10(t), sandbox.Egress{Mode: sandbox.EgressNone}); err != nil {
		t.Fatal(err)
	}
	other := Binding()
	other.Egress = sandbox.Egress{Mode: sandbox.EgressInternet}
	if err := b.Bind(context10(t), other); !errors.Is(err, sandbox.ErrState) {
		t.Errorf("bind under another policy: %v, want ErrState", err)
	}
	if err := b.Connect(context10(t), other.Egress); !errors.Is(err, sandbox.ErrState) {
		t.Errorf("connect after bind: %v, want ErrState", err)
	}
}

// freeze has a process that prints all the time fall silent, go on, and be destroyed while it is frozen.
func (s *suite) freeze(t *testing.T) {
	sb, r := s.running(t, "tick")
	b, ok := sb.(sandbox.Freezer)
	if !ok {
		t.Skip("this driver does not freeze")
	}
	buf := make([]byte, 1)
	read := func() bool {
		n, err := r.Read(buf)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		return n > 0
	}
	for round := range 3 {
		r.SetReadDeadline(time.Now().Add(10 * time.Second))
		if !read() {
			t.Fatalf("round %d: silent while it runs", round)
		}
		for range 2 { // twice is as good as once
			if err := b.Freeze(context10(t)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := b.Usage(); err != nil {
			t.Error(err)
		}
		r.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		for read() { // what was in the pipe
			r.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		}
		before, err := b.Usage()
		if err != nil {
			t.Fatal(err)
		}
		r.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if read() {
			t.Errorf("round %d: prints while frozen", round)
		}
		if after, err := b.Usage(); err != nil || after.CPU != before.CPU {
			t.Errorf("round %d: used %v while frozen, %v", round, after.CPU-before.CPU, err)
		}
		if round < 2 {
			for range 2 {
				if err := b.Thaw(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if err := b.Destroy(context10(t)); err != nil {
		t.Error(err)
	}
	if err := b.Freeze(context10(t)); !errors.Is(err, sandbox.ErrState) {
		t.Errorf("freeze after destroy: %v, want ErrState", err)
	}
	if err := b.Thaw(); err != nil {
		t.Errorf("thaw after destroy: %v", err)
	}
}

// footprint is what this process holds.
func (s *suite) footprint() (f [2]int) {
	fds, err := os.ReadDir("/dev/fd")
	if err == nil {
		f[0] = len(fds)
	}
	f[1] = runtime.NumGoroutine()
	return f
}

// nothingLeft waits for the descriptors and goroutines to be as before; readers of pipes take a moment to end.
func (s *suite) nothingLeft(t *testing.T, before [2]int) {
	deadline := time.Now().Add(10 * time.Second)
	for {
		now := s.footprint()
		if now[0] <= before[0] && now[1] <= before[1] {
			return
		}
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<20)
			t.Errorf("left over: %d descriptors (before: %d), %d goroutines (before: %d)\n%s", now[0], before[0], now[1], before[1], buf[:runtime.Stack(buf, true)])
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}
