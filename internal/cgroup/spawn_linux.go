package cgroup

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
)

// Spawn runs start so that the process it forks with attr is born in the group, which is both safer (it is never
// outside) and some fifty times faster than moving it there with Add.
//
// On v2 the kernel does it: Spawn sets attr.UseCgroupFD. On v1 a thread enters the group for the time of start, and a
// forked process begins where the thread is; start therefore runs on a goroutine of its own that is locked to its
// thread, and must not fork from another one. Memory of this process stays charged to its own group. Set the processor
// limit after Spawn, or the thread is held to it too.
func (g *Group) Spawn(attr *syscall.SysProcAttr, start func() error) error {
	if g.m.Version() == 2 {
		g.mu.RLock() // Destroy must not close the descriptor now
		defer g.mu.RUnlock()
		if g.fd < 0 {
			return fmt.Errorf("cgroup: %s cannot be spawned into: it was destroyed or not created by this process", g.id)
		}
		attr.UseCgroupFD, attr.CgroupFD = true, g.fd
		return start()
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := g.enter()
		if err == nil {
			err = start()
		}
		if home := g.m.goHome(); home == nil {
			runtime.UnlockOSThread()
		} else {
			// Nothing else may run on a thread that is held to a sandbox's limits: the runtime ends it.
			err = errors.Join(err, home)
		}
		done <- err
	}()
	return <-done
}

// enter moves the calling thread. Writing 0 to "tasks" is the one migration that needs no grace period, as nothing else
// can be happening to a thread that is here (since Linux 5.16; before it is slow, but right).
func (g *Group) enter() error {
	for _, dir := range g.m.dirs {
		if err := g.m.fs.Write(dir+"/"+g.id+"/tasks", "0"); err != nil {
			return fmt.Errorf("cgroup: %w", err)
		}
	}
	return nil
}

func (m *Manager) goHome() error {
	for _, fd := range m.home {
		if err := m.fs.WriteFD(fd, "0"); err != nil {
			return fmt.Errorf("cgroup: leave a group after forking into it: %w", err)
		}
	}
	return nil
}
