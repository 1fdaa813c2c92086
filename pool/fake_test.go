package pool

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mayfly"
	"mayfly/sandbox"
	"mayfly/sandbox/bootstrap"
	"mayfly/telemetry"
)

// fakeDriver makes sandboxes whose "process" is a function of the test that speaks the real Runtime API over a pipe-like
// listener, so that the pool is tested with everything but the kernel.
type fakeDriver struct {
	t       *testing.T
	program func(b *fakeBox, p sandbox.Process)
	create  error
	waits   bool                  // sandboxes are sandbox.Prestarters
	boot    func(b *fakeBox) bool // what a waiting process does first: false ends it; nil is nothing
	bind    func(b *fakeBox) error
	freeze  func(ctx context.Context) error // nil succeeds
	thaw    func() error

	live    atomic.Int64
	created atomic.Int64
}

func (d *fakeDriver) Name() string                       { return "fake" }
func (d *fakeDriver) Sweep(context.Context) (int, error) { return 0, nil }
func (d *fakeDriver) Close() error                       { return nil }

func (d *fakeDriver) Create(_ context.Context, id string) (sandbox.Sandbox, error) {
	if d.create != nil {
		return nil, d.create
	}
	d.live.Add(1)
	d.created.Add(1)
	b := &fakeBox{driver: d, id: id, done: make(chan struct{}), killed: make(chan struct{}), ports: map[int]*pipeListener{}}
	if d.waits {
		return fakePrestarter{b}, nil
	}
	return b, nil
}

type fakeBox struct {
	driver *fakeDriver
	id     string
	done   chan struct{}
	killed chan struct{} // closed by Destroy
	exit   mayfly.Exit
	once   sync.Once
	cpu    atomic.Int64

	frozen, thaws atomic.Int64

	prestarted bool
	binding    sandbox.Binding

	mu      sync.Mutex
	started bool
	ports   map[int]*pipeListener
}

// fakePrestarter is a fakeBox whose program can wait for its order.
type fakePrestarter struct{ *fakeBox }

func (b fakePrestarter) Prestart(_ context.Context, _ []sandbox.Mount, p sandbox.Process) error {
	stdin, err := syscall.Dup(int(p.Stdin.Fd()))
	if err != nil {
		return err
	}
	b.prestarted = true
	b.run(func() {
		orders := os.NewFile(uintptr(stdin), "stdin")
		defer orders.Close()
		go func() { // a killed process reads nothing more
			<-b.killed
			_ = syscall.Shutdown(stdin, syscall.SHUT_RDWR)
		}()
		if b.driver.boot != nil && !b.driver.boot(b.fakeBox) {
			return
		}
		_, _ = orders.WriteString("\n")
		text, _ := io.ReadAll(orders)
		var o bootstrap.Order
		if json.Unmarshal(text, &o) != nil {
			return
		}
		p.Env, p.Dir = nil, o.Dir
		for k, v := range o.Env {
			p.Env = append(p.Env, k+"="+v)
		}
		b.driver.program(b.fakeBox, p)
	})
	return nil
}

func (b *fakeBox) Freeze(ctx context.Context) error {
	if b.driver.freeze != nil {
		if err := b.driver.freeze(ctx); err != nil {
			return err
		}
	}
	b.frozen.Store(1)
	return nil
}

func (b *fakeBox) Thaw() error {
	b.thaws.Add(1)
	if b.driver.thaw != nil {
		return b.driver.thaw()
	}
	b.frozen.Store(0)
	return nil
}

func (b *fakeBox) run(f func()) {
	b.mu.Lock()
	b.started = true
	b.mu.Unlock()
	go func() {
		defer close(b.done)
		f()
	}()
}

func (b *fakeBox) ID() string { return b.id }
func (b *fakeBox) Listen(port int) (net.Listener, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	b.ports[port] = l
	return l, nil
}
func (b *fakeBox) ListenPacket(int) (net.PacketConn, error) { return nil, errors.ErrUnsupported }
func (b *fakeBox) Bind(_ context.Context, bind sandbox.Binding) error {
	b.binding = bind
	if b.driver.bind != nil {
		return b.driver.bind(b)
	}
	return nil
}
func (b *fakeBox) SetCPU(m int) error    { b.cpu.Store(int64(m)); return nil }
func (b *fakeBox) Done() <-chan struct{} { return b.done }
func (b *fakeBox) Exit() mayfly.Exit     { return b.exit }
func (b *fakeBox) Usage() (sandbox.Usage, error) {
	peak, err := b.PeakMemory()
	return sandbox.Usage{MemoryBytes: 1 << 20, PeakMemoryBytes: peak}, err
}
func (b *fakeBox) PeakMemory() (int64, error) {
	select {
	case <-b.killed:
		return 0, errors.New("the control group is gone")
	default:
		return 40 << 20, nil
	}
}
func (b *fakeBox) Start(_ context.Context, p sandbox.Process) error {
	b.run(func() { b.driver.program(b, p) })
	return nil
}
func (b *fakeBox) Destroy(context.Context) error {
	b.once.Do(func() {
		close(b.killed)
		b.mu.Lock()
		for _, l := range b.ports {
			l.Close()
		}
		if !b.started {
			close(b.done)
		}
		b.mu.Unlock()
		<-b.done
		b.driver.live.Add(-1)
	})
	return nil
}

// pipeListener is a net.Listener in memory, so that tests run in a synctest bubble.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (l *pipeListener) dial() (net.Conn, error) {
	a, b := net.Pipe()
	select {
	case l.conns <- b:
		return a, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// lambdaRuntime is a runtime client: it fetches events and answers them until the sandbox is destroyed.
type lambdaRuntime struct {
	b      *fakeBox
	p      sandbox.Process
	client *http.Client
}

func newRuntime(b *fakeBox, p sandbox.Process) *lambdaRuntime {
	b.mu.Lock()
	l := b.ports[runtimeAPIPort]
	b.mu.Unlock()
	tr := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		c, err := l.dial()
		if err == nil {
			go func() { <-b.killed; c.Close() }() // a killed process has no connections
		}
		return c, err
	}}
	return &lambdaRuntime{b: b, p: p, client: &http.Client{Transport: tr}}
}

func (r *lambdaRuntime) close() { r.client.CloseIdleConnections() }

// next returns the request id and payload, or an error once the sandbox is gone.
func (r *lambdaRuntime) next() (id string, payload []byte, err error) {
	resp, err := r.client.Get("http://api/2018-06-01/runtime/invocation/next")
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	payload, err = io.ReadAll(resp.Body)
	return resp.Header.Get("Lambda-Runtime-Aws-Request-Id"), payload, err
}

func (r *lambdaRuntime) post(path string, body []byte) error {
	resp, err := r.client.Post("http://api/2018-06-01/runtime/"+path, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return err
}

// echo answers every event with itself and logs a line.
func echo(b *fakeBox, p sandbox.Process) {
	r := newRuntime(b, p)
	defer r.close()
	for {
		id, payload, err := r.next()
		if err != nil {
			return
		}
		fmt.Fprintf(p.Stdout, "echoing %s\n", payload)
		if r.post("invocation/"+id+"/response", payload) != nil {
			return
		}
	}
}

type fakeRuntimes struct{}

func (fakeRuntimes) Resolve(name string) (bootstrap.Runtime, error) {
	return bootstrap.Runtime{Name: "fake-" + name}, nil
}
func (fakeRuntimes) Launch(bootstrap.Runtime, string) bootstrap.Launch {
	return bootstrap.Launch{Args: []string{"/var/runtime/fake"}, Env: []string{"LANG=x"}, Waits: true,
		Mounts: []sandbox.Mount{{Source: "/fake", Target: "/var/runtime"}}}
}

type fakeCode struct{}

func (fakeCode) CodeDir(*mayfly.Version) (string, error) { return os.TempDir(), nil }

// harness is a pool over a fake driver that keeps what it logged and recorded.
type harness struct {
	*Pool
	driver *fakeDriver

	mu     sync.Mutex
	lines  []string
	usages []mayfly.Usage
}

func newHarness(t *testing.T, program func(*fakeBox, sandbox.Process), change ...func(*Options)) *harness {
	t.Helper()
	h := &harness{driver: &fakeDriver{t: t, program: program}}
	o := Options{
		Driver: h.driver, Runtimes: fakeRuntimes{}, Code: fakeCode{}, Metrics: telemetry.NewMetrics(), Limits: mayfly.DefaultLimits(),
		Emit: func(l telemetry.Line) {
			h.mu.Lock()
			h.lines = append(h.lines, l.Message)
			h.mu.Unlock()
		},
		Record: func(u mayfly.Usage) {
			h.mu.Lock()
			h.usages = append(h.usages, u)
			h.mu.Unlock()
		},
	}
	for _, c := range change {
		c(&o)
	}
	h.Pool = New(o)
	return h
}

// stop closes the pool and asserts that nothing is left of it.
func (h *harness) stop(t *testing.T) {
	t.Helper()
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if n := h.driver.live.Load(); n != 0 {
		t.Errorf("%d sandboxes left after Close", n)
	}
	if n := len(h.Instances()); n != 0 {
		t.Errorf("%d instances left after Close", n)
	}
}

func (h *harness) recorded(n int) mayfly.Usage {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.usages[n]
}

func version(name string) *mayfly.Version {
	return &mayfly.Version{
		ID: mayfly.FunctionID{Account: "000000000000", Region: "us-east-1", Name: name}, Version: mayfly.Latest, Runtime: "provided.al2023",
		Timeout: 3 * time.Second, MemoryMB: 128, EphemeralMB: 512, State: mayfly.StateActive, RevisionID: "r1", Architectures: []string{"x86_64"},
	}
}

// call runs one invocation as the invoke package does.
func (h *harness) call(t *testing.T, v *mayfly.Version, payload string) (*Lease, *Outcome) {
	t.Helper()
	l, err := h.Acquire(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	return l, l.Invoke(&mayfly.Invocation{RequestID: "req-" + payload, Version: v, Payload: []byte(payload), WantLogTail: true})
}
