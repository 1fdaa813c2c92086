//go:build unix

// Package process is the driver that isolates nothing. It runs functions as plain processes of the server's user, for
// development on machines that cannot have native sandboxes, macOS first of all. A function can read and change
// whatever the user who started the server can.
//
// What a sandbox would do with mounts and a network of its own is imitated by rewriting: in the arguments, the
// environment and the working directory, a mount's target (/var/task) becomes its source on the host, and a port
// that is listened on inside (127.0.0.1:9001) becomes the port that the listener really got. Paths that a program has
// compiled in are not found. Limits and egress policies are accepted and ignored.
package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"mayfly"
	"mayfly/sandbox"
)

// Driver makes plain processes.
type Driver struct{ log *slog.Logger }

var _ sandbox.Driver = (*Driver)(nil)

// New makes the driver, and says loudly what it is.
func New(log *slog.Logger) *Driver {
	if log == nil {
		log = slog.Default()
	}
	log.Warn("NO ISOLATION: functions run as plain processes of this user and can read and change everything this user can; " +
		"limits and network policies are not enforced. For development only: never run code you do not trust this way")
	return &Driver{log: log}
}

// Name is "process".
func (d *Driver) Name() string { return "process" }

// Create makes nothing yet.
func (d *Driver) Create(ctx context.Context, id string) (sandbox.Sandbox, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if id == "" || len(id) > 40 || strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return nil, mayfly.Errorf(mayfly.KindInvalid, "sandbox id %q: want 1 to 40 of a-z, 0-9 and -", id)
	}
	return &box{id: id, done: make(chan struct{}), ports: map[string]string{}}, nil
}

// Sweep finds nothing: the processes of a server that was killed cannot be told from others.
func (d *Driver) Sweep(context.Context) (int, error) { return 0, nil }

// Close does nothing.
func (d *Driver) Close() error { return nil }

type phase int

const (
	created phase = iota
	bound
	running
	destroyed
)

func (p phase) String() string { return [...]string{"created", "bound", "started", "destroyed"}[p] }

type box struct {
	id string

	mu      sync.Mutex
	state   phase
	mounts  []sandbox.Mount
	ports   map[string]string // 127.0.0.1:9001 → where it really is
	closers []interface{ Close() error }
	cmd     *exec.Cmd

	done chan struct{} // closed when the process has ended, or by Destroy if there was none
	exit mayfly.Exit
}

func (s *box) ID() string { return s.id }

func (s *box) expect(want phase, step string) error {
	if s.state != want {
		return fmt.Errorf("%w: %s sandbox %s, which is %s", sandbox.ErrState, step, s.id, s.state)
	}
	return nil
}

// Listen opens a listener on a port of the host's choice, which the process is told instead.
func (s *box) Listen(port int) (net.Listener, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == destroyed {
		return nil, s.expect(created, "listen in")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.moved(port, l.Addr(), l)
	return l, nil
}

// ListenPacket is Listen for UDP.
func (s *box) ListenPacket(port int) (net.PacketConn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == destroyed {
		return nil, s.expect(created, "listen in")
	}
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.moved(port, c.LocalAddr(), c)
	return c, nil
}

func (s *box) moved(port int, to net.Addr, c interface{ Close() error }) {
	from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port))
	s.ports[from.String()] = to.String()
	s.closers = append(s.closers, c)
}

// Bind remembers the mounts.
func (s *box) Bind(_ context.Context, b sandbox.Binding) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.expect(created, "bind"); err != nil {
		return err
	}
	s.state = bound
	for _, m := range b.Mounts {
		if _, err := os.Stat(m.Source); err != nil {
			return fmt.Errorf("sandbox %s: mount %s: %w", s.id, m.Target, err)
		}
	}
	s.mounts = b.Mounts
	return nil
}

// Start runs the process in a process group of its own.
func (s *box) Start(ctx context.Context, p sandbox.Process) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.expect(bound, "start"); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(p.Args) == 0 || !filepath.IsAbs(p.Args[0]) {
		return mayfly.Errorf(mayfly.KindInvalid, "sandbox process: Args[0] must be an absolute path")
	}
	args, env := s.rewriteAll(p.Args), s.rewriteAll(p.Env)
	cmd := &exec.Cmd{Path: args[0], Args: args, Env: env, Dir: s.rewrite(p.Dir), SysProcAttr: &syscall.SysProcAttr{Setpgid: true}}
	if env == nil {
		cmd.Env = []string{} // nil would be the server's own
	}
	if p.Stdin != nil {
		cmd.Stdin = p.Stdin
	}
	if p.Stdout != nil {
		cmd.Stdout = p.Stdout
	}
	if p.Stderr != nil {
		cmd.Stderr = p.Stderr
	}
	s.state = running
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("sandbox %s: start: %w", s.id, err)
	}
	s.cmd = cmd
	go s.wait(cmd)
	return nil
}

func (s *box) wait(cmd *exec.Cmd) {
	err := cmd.Wait()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		s.exit.Err = err
	}
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		s.exit.Signal, s.exit.SignalTxt = int(ws.Signal()), ws.Signal().String()
	} else {
		s.exit.Code = cmd.ProcessState.ExitCode()
	}
	close(s.done)
}

func (s *box) rewriteAll(list []string) []string {
	var out []string
	for _, v := range list {
		out = append(out, s.rewrite(v))
	}
	return out
}

func (s *box) rewrite(v string) string {
	for _, m := range s.mounts {
		v = replace(v, m.Target, m.Source, func(next byte) bool { return next == '/' || strings.IndexByte(":;, \"'", next) >= 0 })
	}
	for from, to := range s.ports {
		v = replace(v, from, to, func(next byte) bool { return next < '0' || next > '9' })
	}
	return v
}

// replace puts to for from wherever from ends, or is followed by a byte that ends it.
func replace(v, from, to string, ends func(byte) bool) string {
	var out strings.Builder
	for {
		i := strings.Index(v, from)
		if i < 0 {
			return out.String() + v
		}
		out.WriteString(v[:i])
		v = v[i+len(from):]
		if v == "" || ends(v[0]) {
			out.WriteString(to)
		} else {
			out.WriteString(from)
		}
	}
}

// SetCPU does nothing.
func (s *box) SetCPU(int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == destroyed {
		return s.expect(running, "limit")
	}
	return nil
}

func (s *box) Done() <-chan struct{} { return s.done }

func (s *box) Exit() mayfly.Exit {
	select {
	case <-s.done:
		return s.exit
	default:
		return mayfly.Exit{}
	}
}

// PeakMemory is not known.
func (s *box) PeakMemory() (int64, error) { return 0, nil }

// Usage knows the processor time of a process that has ended, and nothing else.
func (s *box) Usage() (sandbox.Usage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == destroyed {
		return sandbox.Usage{}, s.expect(running, "measure")
	}
	var u sandbox.Usage
	if s.cmd != nil {
		select {
		case <-s.done:
			u.CPU = s.cmd.ProcessState.SystemTime() + s.cmd.ProcessState.UserTime()
		default:
			u.Processes = 1
		}
	}
	return u, nil
}

// Destroy kills the process group. A process that left the group stays.
func (s *box) Destroy(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == destroyed {
		return nil
	}
	s.state = destroyed
	for _, c := range s.closers {
		c.Close() // its user may have closed it already
	}
	if s.cmd == nil {
		close(s.done)
		return nil
	}
	if err := syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) && !errors.Is(err, syscall.EPERM) {
		return fmt.Errorf("sandbox %s: kill group %s: %w", s.id, strconv.Itoa(s.cmd.Process.Pid), err)
	}
	<-s.done
	return nil
}
