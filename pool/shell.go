package pool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"mayfly/sandbox"
	"mayfly/sandbox/bootstrap"
)

// shell is a sandbox that knows of no function yet: empty, or with an interpreter in it that has booted and waits for its
// order. It becomes one instance, once.
type shell struct {
	box    sandbox.Sandbox
	api    net.Listener // of the Runtime API; nobody serves it yet
	door   net.Listener // of the front door; nil without one
	r, w   *os.File     // what its process prints
	orders *os.File     // the other end of the process's standard input; nil when there is no process
	size   int64        // bytes of memory
}

// Bounds of making a shell.
const (
	shellBoot       = 20 * time.Second
	shellMillicores = 500 // an invocation that comes meanwhile finds most of the machine free
	orderLimit      = 5 * time.Second
)

// emptyShell makes a sandbox with its listeners.
func (p *Pool) emptyShell(ctx context.Context, id string) (_ *shell, err error) {
	s := &shell{}
	defer func() {
		if err != nil {
			s.discard(p)
		}
	}()
	if s.r, s.w, err = os.Pipe(); err != nil {
		return nil, err
	}
	if s.box, err = p.Driver.Create(ctx, id); err != nil {
		return nil, err
	}
	if s.api, err = s.box.Listen(runtimeAPIPort); err != nil {
		return nil, err
	}
	if p.FrontDoor != nil {
		if s.door, err = s.box.Listen(frontDoorPort); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// waitingShell makes a sandbox ahead of need, with a process of the launch in it if that and the driver allow, and waits
// until the process has booted.
func (p *Pool) waitingShell(ctx context.Context, l bootstrap.Launch, e sandbox.Egress) (_ *shell, err error) {
	ctx, cancel := context.WithTimeout(ctx, shellBoot)
	defer cancel()
	s, err := p.emptyShell(ctx, newID())
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.discard(p)
		}
	}()
	if box, ok := s.box.(sandbox.Prestarter); ok && l.Waits {
		if err := s.box.SetCPU(shellMillicores); err != nil {
			return nil, err
		}
		if err := s.prestart(ctx, box, l); err != nil {
			return nil, err
		}
	}
	if box, ok := s.box.(sandbox.Connecter); ok {
		if err := box.Connect(ctx, e); err != nil {
			return nil, err
		}
	}
	usage, err := s.box.Usage()
	s.size = usage.MemoryBytes
	return s, err
}

func (s *shell) prestart(ctx context.Context, box sandbox.Prestarter, l bootstrap.Launch) error {
	ours, theirs, err := socketPair()
	if err != nil {
		return err
	}
	s.orders = ours
	err = box.Prestart(ctx, l.Mounts, sandbox.Process{
		Args: l.Args, Env: l.WaitingEnv(runtimeAPIAddr), Dir: "/", Stdin: theirs, Stdout: s.w, Stderr: s.w,
	})
	theirs.Close()
	if err != nil {
		return err
	}
	deadline, _ := ctx.Deadline()
	if err := s.orders.SetDeadline(deadline); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = s.orders.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := s.orders.Read(make([]byte, 1)); err != nil {
		return fmt.Errorf("a process started ahead of need is not ready: %w", err)
	}
	return nil
}

// socketPair returns a connected pair; the second is for a process.
func socketPair() (ours, theirs *os.File, err error) {
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	err = syscall.SetNonblock(fds[0], true) // so that it obeys deadlines
	return os.NewFile(uintptr(fds[0]), "orders"), os.NewFile(uintptr(fds[1]), "orders of a process"), err
}

// order tells the waiting process what it is.
func (s *shell) order(env []string, dir string) error {
	b, err := bootstrap.NewOrder(env, dir).Encode()
	if err == nil {
		err = s.orders.SetDeadline(time.Now().Add(orderLimit))
	}
	if err == nil {
		_, err = s.orders.Write(b)
	}
	return errors.Join(err, s.orders.Close())
}

// alive tells whether the shell's process, if it has one, still waits.
func (s *shell) alive() bool {
	select {
	case <-s.box.Done():
		return false
	default:
		return true
	}
}

// discard destroys a shell that nobody has taken.
func (s *shell) discard(p *Pool) {
	if s.orders != nil {
		s.orders.Close()
	}
	if s.box != nil {
		if err := s.box.Destroy(context.Background()); err != nil {
			p.log.Error("sandbox cannot be destroyed", "sandbox", s.box.ID(), "error", err)
		}
	}
	for _, f := range []*os.File{s.r, s.w} {
		if f != nil {
			f.Close()
		}
	}
}
