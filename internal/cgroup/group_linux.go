package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Group is one sandbox's control group, in every hierarchy that is used. It is safe for concurrent use.
type Group struct {
	m  *Manager
	id string

	mu   sync.RWMutex // held for reading while the descriptors are in use
	fd   int          // v2: the directory; -1 when not open
	peak int          // the file with the peak of memory, once read; on v2 ResetPeak counts per descriptor; -1 before
}

// ID is the name given to Create.
func (g *Group) ID() string { return g.id }

// path is where a file of a controller is.
func (g *Group) path(controller, file string) string {
	return g.m.dir[controller] + "/" + g.id + "/" + file
}

func (g *Group) write(controller, file, value string) error {
	if err := g.m.fs.Write(g.path(controller, file), value); err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	return nil
}

func (g *Group) read(controller, file string) (string, error) {
	s, err := g.m.fs.Read(g.path(controller, file))
	if err != nil {
		return "", fmt.Errorf("cgroup: %w", err)
	}
	return s, nil
}

func (g *Group) readInt(controller, file string) (int64, error) {
	s, err := g.read(controller, file)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("cgroup: %s: %w", g.path(controller, file), err)
	}
	return n, nil
}

// field returns the number after key in a file of "key number" lines, 0 when the key is not there.
func field(text, key string) int64 {
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(line, " "); ok && k == key {
			n, _ := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
			return n
		}
	}
	return 0
}

// Add moves a running process with all its threads into the group. The kernel makes it wait for an RCU grace period,
// several milliseconds: prefer Spawn for a process that is yet to be made.
func (g *Group) Add(pid int) error {
	for _, dir := range g.m.dirs {
		if err := g.m.fs.Write(dir+"/"+g.id+"/cgroup.procs", strconv.Itoa(pid)); err != nil {
			return fmt.Errorf("cgroup: %w", err)
		}
	}
	return nil
}

// FD is a descriptor of the group's directory for clone3's CLONE_INTO_CGROUP, on v2 only. It is the group's: it is valid
// until Destroy.
func (g *Group) FD() (int, bool) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.fd, g.fd >= 0
}

// SetMemory limits memory, page cache included, to so many bytes, and lets none of it go to swap. 0 is no limit.
func (g *Group) SetMemory(bytes int64) error { return g.m.v.setMemory(g, bytes) }

// cpuPeriod is the kernel's default scheduling period, which no Group changes.
const cpuPeriod = 100 * time.Millisecond

// cpuQuota is the share of a period in microseconds. The kernel refuses less than one millisecond.
func cpuQuota(millicores int) int64 {
	return max(int64(millicores)*cpuPeriod.Microseconds()/1000, 1000)
}

// SetCPU limits processor time to so many thousandths of a core, in periods of 100 ms; the least is 10. 0 is no limit.
func (g *Group) SetCPU(millicores int) error { return g.m.v.setCPU(g, millicores) }

// SetPIDs limits the number of processes and threads. 0 is no limit.
func (g *Group) SetPIDs(n int) error {
	v := "max"
	if n > 0 {
		v = strconv.Itoa(n)
	}
	return g.write("pids", "pids.max", v)
}

// Stats reads the counters.
func (g *Group) Stats() (Stats, error) { return g.m.v.stats(g) }

// PeakMemory is Stats' PeakMemory alone, in bytes, for callers that ask after every invocation: it keeps the file open.
// A kernel without a peak (v2 before Linux 5.19) answers 0.
func (g *Group) PeakMemory() (int64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.peak < 0 {
		fd, err := g.m.v.openPeak(g)
		if errors.Is(err, unix.ENOENT) {
			return 0, nil
		}
		if err != nil {
			return 0, fmt.Errorf("cgroup: %w", err)
		}
		g.peak = fd
	}
	text, err := g.m.fs.ReadFD(g.peak)
	if err != nil {
		return 0, fmt.Errorf("cgroup: peak memory of %s: %w", g.id, err)
	}
	return strconv.ParseInt(text, 10, 64)
}

// ResetPeak starts PeakMemory anew from what is in use now. ErrUnsupported on v2 before Linux 6.12.
func (g *Group) ResetPeak() error { return g.m.v.resetPeak(g) }

// Processes returns the ids of the processes in the group. A group that is gone has none, and this process is never
// among them: on v1 a thread of it that is inside for a Spawn makes the kernel list the whole process, which Kill would
// not survive.
func (g *Group) Processes() ([]int, error) {
	text, err := g.read("pids", "cgroup.procs")
	if err != nil {
		if gone(err) {
			return nil, nil
		}
		return nil, err
	}
	var pids []int
	self := os.Getpid()
	for _, f := range strings.Fields(text) {
		pid, err := strconv.Atoi(f)
		if err != nil {
			return nil, fmt.Errorf("cgroup: %s: %w", g.path("pids", "cgroup.procs"), err)
		}
		if pid == 0 {
			return nil, fmt.Errorf("cgroup: %s: a process of another process namespace is in the group", g.id)
		}
		if pid != self {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// gone tells whether an error says that the group has been removed.
func gone(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) }

// Kill sends SIGKILL to every process in the group, also to a frozen one, and to those being forked meanwhile. When it
// returns all have been told; they take a moment to be gone, which Destroy waits for.
func (g *Group) Kill() error {
	err := g.m.v.killAll(g)
	if err == nil || gone(err) {
		return nil
	}
	if !errors.Is(err, ErrUnsupported) {
		return err
	}
	// Without a kernel that kills groups: first no more forks, then everyone, until no name is new. A fork that was
	// under way when its parent was killed is either refused by the kernel or listed by the next round.
	if err := g.write("pids", "pids.max", "0"); err != nil && !gone(err) {
		return err
	}
	told := make(map[int]bool)
	for {
		pids, err := g.Processes()
		if err != nil {
			return err
		}
		fresh := false
		for _, pid := range pids {
			if !told[pid] {
				fresh, told[pid] = true, true
				if err := unix.Kill(pid, unix.SIGKILL); err != nil && err != unix.ESRCH {
					return fmt.Errorf("cgroup: kill %d of %s: %w", pid, g.id, err)
				}
			}
		}
		if !fresh {
			break
		}
	}
	// The v1 freezer keeps even SIGKILL waiting.
	if err := g.m.v.freeze(g, false); err != nil && !gone(err) {
		return err
	}
	return nil
}

// Freeze stops every process in the group where it is and returns once they have stopped. When ctx ends first the group
// is thawed again.
func (g *Group) Freeze(ctx context.Context) error {
	if err := g.m.v.freeze(g, true); err != nil {
		return err
	}
	err := poll(ctx, func() (bool, error) {
		done, err := g.m.v.frozen(g)
		if err == nil && !done && g.m.Version() == 1 {
			// A v1 freezer that met a process it could not stop has to be told again.
			err = g.m.v.freeze(g, true)
		}
		return done, err
	})
	if err != nil {
		return errors.Join(fmt.Errorf("cgroup: freeze %s: %w", g.id, err), g.Thaw())
	}
	return nil
}

// Thaw lets the group run again. It does not wait.
func (g *Group) Thaw() error { return g.m.v.freeze(g, false) }

// Destroy removes the group once its processes are gone, and waits for that until ctx ends. It kills nobody: Kill does.
// It can be called again.
func (g *Group) Destroy(ctx context.Context) error {
	g.mu.Lock()
	for _, fd := range []*int{&g.fd, &g.peak} {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
	g.mu.Unlock()
	left := make([]string, 0, len(g.m.dirs))
	for _, dir := range g.m.dirs {
		left = append(left, dir+"/"+g.id)
	}
	err := poll(ctx, func() (bool, error) {
		for len(left) > 0 {
			busy, err := g.m.remove(left[0])
			if busy || err != nil {
				return false, err
			}
			left = left[1:]
		}
		return true, nil
	})
	if err != nil {
		pids, _ := g.Processes()
		return fmt.Errorf("cgroup: remove %s, processes left %v: %w", g.id, pids, err)
	}
	return nil
}

// remove removes one directory and those below it.
func (m *Manager) remove(path string) (busy bool, err error) {
	err = m.fs.Rmdir(path)
	if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.ENOTEMPTY) {
		names, _ := m.fs.Dirs(path)
		for _, n := range names {
			if busy, err := m.remove(path + "/" + n); busy || err != nil {
				return busy, err
			}
		}
		if len(names) == 0 {
			return true, nil
		}
		err = m.fs.Rmdir(path)
	}
	switch {
	case err == nil, errors.Is(err, unix.ENOENT):
		return false, nil
	case errors.Is(err, unix.EBUSY):
		return true, nil
	default:
		return false, err
	}
}

// poll calls f until it is done, fails or ctx ends, at first every 50 µs and at last every 10 ms: what is waited for is
// a process on its way out, which takes from microseconds to as long as it likes, and has no event on v1.
func poll(ctx context.Context, f func() (bool, error)) error {
	wait := 50 * time.Microsecond
	var timer *time.Timer
	for {
		done, err := f()
		if done || err != nil {
			return err
		}
		if timer == nil {
			timer = time.NewTimer(wait)
			defer timer.Stop()
		} else {
			timer.Reset(wait)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		wait = min(wait*2, 10*time.Millisecond)
	}
}
