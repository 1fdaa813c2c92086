package native

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mayfly"
	"mayfly/internal/cgroup"
	"mayfly/sandbox"
)

// box is one sandbox. Its state only goes forward; mu guards it and is held while a step runs, so steps exclude each
// other. Destroy does not wait for a step: it kills the init first, which ends the step, and then takes mu.
type box struct {
	d  *Driver
	id string

	uid   uint32 // first host id
	group *cgroup.Group
	pid   int      // of the init, on the host
	pidFD *os.File // of the init
	init  *control

	mu      sync.Mutex
	state   phase
	closers []io.Closer     // listeners, the resolver and the egress lease
	egress  *sandbox.Egress // from Connect; nil before

	frost  sync.Mutex // held while freezing and thawing, never together with mu
	frozen bool

	done      chan struct{}
	exited    sync.Once
	exit      mayfly.Exit
	openFiles int // limit per process, from Bind

	destroyOnce sync.Once
	destroyErr  error
	destroying  chan struct{}
}

var (
	_ sandbox.Prestarter = (*box)(nil)
	_ sandbox.Connecter  = (*box)(nil)
	_ sandbox.Freezer    = (*box)(nil)
)

type phase int

const (
	created phase = iota
	prestarted
	bound
	running
	destroyed
)

func (p phase) String() string {
	return [...]string{"created", "prestarted", "bound", "started", "destroyed"}[p]
}

func newBox(d *Driver, id string) *box {
	d.live.Add(1)
	return &box{d: d, id: id, done: make(chan struct{}), destroying: make(chan struct{})}
}

// ID is the id given to Create.
func (s *box) ID() string { return s.id }

// create makes the control group, the init and the namespaces.
func (s *box) create(ctx context.Context) (err error) {
	if s.uid, err = s.d.ids.take(); err != nil {
		return err
	}
	if s.group, err = s.d.groups.Create(s.id); err != nil {
		s.group = nil
		return err
	}
	spawner, err := s.d.spawner()
	if err != nil {
		return err
	}
	theirs, err := s.connect(spawner.base)
	if err != nil {
		return err
	}
	groupFD, unified := s.group.FD()
	if !unified {
		groupFD = -1
	}
	pid, pidFD, err := spawner.spawn(s.uid, UIDsPerSandbox, theirs, groupFD)
	unix.Close(theirs) // the init has its own by now: no copy may stay, or its end would not show
	if err != nil {
		return err
	}
	s.pid = pid
	if err := unix.SetNonblock(pidFD, true); err != nil {
		unix.Close(pidFD)
		return err
	}
	s.pidFD = os.NewFile(uintptr(pidFD), "pidfd")
	var entrances []int
	defer func() { closeAll(entrances) }()
	for _, path := range s.group.Entrances() {
		fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open %s: %w", path, err)
		}
		entrances = append(entrances, fd)
	}
	_, err = s.init.call(ctx, s.d.createProgram(len(entrances), spawner.masks), entrances...)
	return err
}

// connect makes the control socket, starts reading this end, and returns the init's end.
func (s *box) connect(base uintptr) (theirs int, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("socketpair: %w", err)
	}
	s.init, err = newControl(fds[0], base, s.ended, s.lost)
	if err != nil {
		unix.Close(fds[1])
		return -1, err
	}
	return fds[1], nil
}

// Bind mounts, limits and connects.
func (s *box) Bind(ctx context.Context, b sandbox.Binding) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	runs := s.state == prestarted
	if !runs {
		if err := s.expect(created, "bind"); err != nil {
			return err
		}
	}
	s.state = bound // also when it fails: what is half bound is only good for Destroy
	if runs {
		s.state = running
	}
	if err := s.setLimits(b.Limits); err != nil {
		return fmt.Errorf("sandbox %s: %w", s.id, err)
	}
	p := &program{}
	if n := b.Limits.TmpBytes; n > 0 && n != defaultTmp {
		p.mount("", "/tmp", "", unix.MS_REMOUNT|unix.MS_NOSUID|unix.MS_NODEV, tmpOptions(n))
	}
	if err := s.mount(ctx, b.Mounts, p, runs); err != nil {
		return err
	}
	return s.connectTo(ctx, b.Egress)
}

// Connect gives the sandbox its way out before Bind does.
func (s *box) Connect(ctx context.Context, e sandbox.Egress) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != prestarted {
		if err := s.expect(created, "connect"); err != nil {
			return err
		}
	}
	return s.connectTo(ctx, e)
}

// connectTo applies a network policy, once. The caller holds mu.
func (s *box) connectTo(ctx context.Context, e sandbox.Egress) error {
	if s.egress != nil {
		if !s.egress.Equal(e) {
			return fmt.Errorf("%w: sandbox %s is connected under another policy", sandbox.ErrState, s.id)
		}
		return nil
	}
	if e.Mode != sandbox.EgressNone && e.Mode != "" {
		lease, err := s.d.net.attach(ctx, s, e)
		if err != nil {
			return fmt.Errorf("sandbox %s: egress: %w", s.id, err)
		}
		s.closers = append(s.closers, lease)
	}
	s.egress = &e
	return nil
}

// mount shows folders and files of the host after the init has executed p, and may disarm it. The caller holds mu.
func (s *box) mount(ctx context.Context, mounts []sandbox.Mount, p *program, disarm bool) error {
	var trees []int
	defer func() { closeAll(trees) }()
	for _, m := range mounts {
		fd, err := cloneTree(m.Source)
		if err != nil {
			return fmt.Errorf("sandbox %s: mount %s: %w", s.id, m.Target, err)
		}
		trees = append(trees, fd)
	}
	if err := p.attach(mounts); err != nil {
		return err
	}
	if disarm {
		p.disarm()
	}
	if len(p.ops) == 0 {
		return nil
	}
	if _, err := s.init.call(ctx, p, trees...); err != nil {
		return fmt.Errorf("sandbox %s: %w", s.id, err)
	}
	return nil
}

// defaultProcesses is Lambda's limit of processes and threads.
const defaultProcesses = 1024

func (s *box) setLimits(l sandbox.Limits) error {
	if l.MemoryBytes > 0 {
		if err := s.group.SetMemory(l.MemoryBytes); err != nil {
			return err
		}
	}
	if l.Millicores > 0 {
		if err := s.group.SetCPU(l.Millicores); err != nil {
			return err
		}
	}
	n := l.Processes
	if n <= 0 {
		n = defaultProcesses
	}
	if l.OpenFiles > 0 {
		s.openFiles = l.OpenFiles
	}
	return s.group.SetPIDs(n + 1) // and the init
}

// defaultOpenFiles is Lambda's limit of open files.
const defaultOpenFiles = 1024

// Prestart runs a process that waits for Bind. The init keeps its capabilities until then.
func (s *box) Prestart(ctx context.Context, mounts []sandbox.Mount, p sandbox.Process) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.expect(created, "prestart"); err != nil {
		return err
	}
	s.state = bound // when it fails
	s.openFiles = defaultOpenFiles
	if err := s.group.SetPIDs(defaultProcesses + 1); err != nil {
		return fmt.Errorf("sandbox %s: %w", s.id, err)
	}
	if err := s.mount(ctx, mounts, &program{}, false); err != nil {
		return err
	}
	if err := s.run(ctx, p, false); err != nil {
		return err
	}
	s.state = prestarted
	return nil
}

// Start runs the function's process.
func (s *box) Start(ctx context.Context, p sandbox.Process) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.expect(bound, "start"); err != nil {
		return err
	}
	return s.run(ctx, p, true)
}

func (s *box) run(ctx context.Context, p sandbox.Process, disarm bool) error {
	prog, files, err := s.startProgram(p)
	if err != nil {
		return err
	}
	if disarm {
		prog.disarm()
	}
	s.state = running
	if _, err := s.init.call(ctx, prog, files...); err != nil {
		return fmt.Errorf("sandbox %s: start: %w", s.id, err)
	}
	return nil
}

// expect tells whether the state allows a step. The caller holds mu.
func (s *box) expect(want phase, step string) error {
	if s.state != want {
		return fmt.Errorf("%w: %s sandbox %s, which is %s", sandbox.ErrState, step, s.id, s.state)
	}
	return nil
}

// SetCPU changes the processor limit.
func (s *box) SetCPU(millicores int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == destroyed {
		return s.expect(running, "limit")
	}
	return s.group.SetCPU(millicores)
}

// Freeze stops every process.
func (s *box) Freeze(ctx context.Context) error {
	s.frost.Lock()
	defer s.frost.Unlock()
	if s.frozen {
		return nil
	}
	select {
	case <-s.destroying:
		return fmt.Errorf("%w: freeze sandbox %s, which is being destroyed", sandbox.ErrState, s.id)
	default:
	}
	if err := s.group.Freeze(ctx); err != nil {
		return fmt.Errorf("sandbox %s: %w", s.id, err)
	}
	s.frozen = true
	return nil
}

// Thaw lets them run again.
func (s *box) Thaw() error {
	s.frost.Lock()
	defer s.frost.Unlock()
	if !s.frozen {
		return nil
	}
	if err := s.group.Thaw(); err != nil {
		return fmt.Errorf("sandbox %s: %w", s.id, err)
	}
	s.frozen = false
	return nil
}

// Usage reads the counters.
func (s *box) Usage() (sandbox.Usage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == destroyed {
		return sandbox.Usage{}, s.expect(running, "measure")
	}
	st, err := s.group.Stats()
	if err != nil {
		return sandbox.Usage{}, err
	}
	return sandbox.Usage{MemoryBytes: st.Memory, PeakMemoryBytes: st.PeakMemory, CPU: st.CPU, Processes: max(st.PIDs-1, 0)}, nil
}

// PeakMemory reads one of them, in bytes.
func (s *box) PeakMemory() (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == destroyed {
		return 0, s.expect(running, "measure")
	}
	return s.group.PeakMemory()
}

// Done is closed once the process has ended, or the sandbox is gone.
func (s *box) Done() <-chan struct{} { return s.done }

// Exit tells how; it is meaningful once Done is closed.
func (s *box) Exit() mayfly.Exit {
	select {
	case <-s.done:
		return s.exit
	default:
		return mayfly.Exit{}
	}
}

// ended takes the wait status of the function's process.
func (s *box) ended(status uint32) {
	s.exited.Do(func() {
		ws := syscall.WaitStatus(status)
		if ws.Signaled() {
			s.exit.Signal, s.exit.SignalTxt = int(ws.Signal()), ws.Signal().String()
		} else {
			s.exit.Code = ws.ExitStatus()
		}
		s.exit.OOMKilled = s.exit.Signal == int(syscall.SIGKILL) && s.oomKills() > 0
		close(s.done)
	})
}

// lost notes that the init is gone, and with it everything inside.
func (s *box) lost() {
	s.exited.Do(func() {
		s.exit.Signal, s.exit.SignalTxt = int(syscall.SIGKILL), syscall.SIGKILL.String()
		select {
		case <-s.destroying:
		default:
			s.exit.OOMKilled = s.oomKills() > 0
		}
		close(s.done)
	})
}

func (s *box) oomKills() int64 {
	st, err := s.group.Stats()
	if err != nil {
		return 0
	}
	return st.OOMKills
}

// destroyLimit bounds the wait for processes that the kernel has been told to kill.
const destroyLimit = 30 * time.Second

// Destroy kills and removes everything. It goes on when ctx ends: half a sandbox is of no use.
func (s *box) Destroy(ctx context.Context) error {
	s.destroyOnce.Do(func() {
		close(s.destroying)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), destroyLimit)
		defer cancel()
		s.destroyErr = s.remove(ctx)
		s.d.live.Add(-1)
	})
	return s.destroyErr
}

func (s *box) remove(ctx context.Context) error {
	var errs []error
	if s.pidFD != nil {
		// The death of the init makes the kernel kill every process of its namespace; once it is waited for, all are gone.
		err := s.kill()
		if err == nil { // the freezer of cgroup v1 keeps even SIGKILL waiting
			err = s.Thaw()
		}
		if err == nil {
			err = s.wait(ctx)
		}
		errs = append(errs, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = destroyed
	for _, c := range s.closers {
		errs = append(errs, c.Close())
	}
	s.closers = nil
	if s.init != nil {
		s.init.close()
		<-s.init.ended // Done is closed by now
	}
	s.exited.Do(func() { close(s.done) }) // never got as far as an init
	if s.group != nil {
		errs = append(errs, s.group.Destroy(ctx))
	}
	if s.pidFD != nil {
		s.pidFD.Close()
	}
	err := errors.Join(errs...)
	if s.uid != 0 && err == nil {
		s.d.ids.give(s.uid)
	}
	return err
}

func (s *box) kill() error {
	c, err := s.pidFD.SyscallConn()
	if err != nil {
		return err
	}
	var kerr error
	err = c.Control(func(fd uintptr) { kerr = unix.PidfdSendSignal(int(fd), unix.SIGKILL, nil, 0) })
	if errors.Is(kerr, unix.ESRCH) {
		kerr = nil
	}
	return errors.Join(err, kerr)
}

// wait returns once the init is gone. The pidfd is readable then, which the runtime's poller waits for.
func (s *box) wait(ctx context.Context) error {
	deadline, _ := ctx.Deadline()
	if err := s.pidFD.SetReadDeadline(deadline); err != nil {
		return err
	}
	c, err := s.pidFD.SyscallConn()
	if err != nil {
		return err
	}
	err = c.Read(func(fd uintptr) bool {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, _ := unix.Poll(p, 0)
		return n > 0
	})
	if err != nil {
		return fmt.Errorf("sandbox %s: its processes do not end: %w", s.id, err)
	}
	return nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
