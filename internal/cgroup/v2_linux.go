package cgroup

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mayfly"
)

// openV2 makes the parent group with its controllers switched on for the groups below.
//
// It goes below the group this process is in when systemd has delegated that (Delegate=yes in the unit), else below the
// top of what is mounted, which in a container is the container's own group. A group that hands controllers down must
// not hold processes itself (the "no internal processes" rule; only the machine's top group is exempt), so if it is our
// own, its processes are moved aside into a leaf first.
func (m *Manager) openV2(parent string, mnt mount, env environment) error {
	base := mnt.point
	own, seen := mnt.within(parseSelf(env.self)[""])
	if seen && m.fs.Delegated(own) {
		base = own
	}
	var missing []string
	have, err := m.fs.Read(base + "/cgroup.controllers")
	if err != nil {
		return mayfly.Errorf(mayfly.KindUnavailable, "cgroup: %w", err)
	}
	for _, c := range env.needs {
		if !slices.Contains(strings.Fields(have), c) {
			missing = append(missing, c)
		}
	}
	if len(missing) > 0 {
		return mayfly.Errorf(mayfly.KindUnavailable, "cgroup: %s has no controller %s (it has: %s); enable it in the group above "+
			"(echo +%s > …/cgroup.subtree_control), have systemd delegate it (Delegate=yes), or boot with cgroup_enable=%[4]s",
			base, strings.Join(missing, ", "), have, missing[0])
	}
	if err := m.enable(base, parent, env.needs, seen && own == base); err != nil {
		return err
	}
	path := base + "/" + parent
	if err := m.makeParent(path); err != nil {
		return err
	}
	for _, c := range controllers {
		m.dir[c] = path
	}
	return m.enable(path, "", env.needs, false)
}

// enable switches controllers on for the groups below dir, moving dir's processes aside if it may and must.
func (m *Manager) enable(dir, parent string, needs []string, mayMove bool) error {
	on, err := m.fs.Read(dir + "/cgroup.subtree_control")
	if err != nil {
		return mayfly.Errorf(mayfly.KindUnavailable, "cgroup: %w", err)
	}
	var lacks []string
	for _, c := range needs {
		if !slices.Contains(strings.Fields(on), c) {
			lacks = append(lacks, c)
		}
	}
	if len(lacks) == 0 {
		return nil
	}
	control := dir + "/cgroup.subtree_control"
	err = m.fs.Write(control, "+"+strings.Join(lacks, " +"))
	if errors.Is(err, unix.EBUSY) && mayMove {
		if err := m.moveAside(dir, parent+"-server", lacks); err != nil {
			return err
		}
		err = m.fs.Write(control, "+"+strings.Join(lacks, " +"))
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EBUSY):
		return mayfly.Errorf(mayfly.KindUnavailable, "cgroup: %w: the group holds processes, and such a group cannot have limits below it; "+
			"run Mayfly in a systemd unit with Delegate=yes, or move those processes into a group of their own", err)
	case errors.Is(err, unix.EOPNOTSUPP):
		return mayfly.Errorf(mayfly.KindUnavailable, "cgroup: %w: the group is threaded and cannot have memory limits below it; start Mayfly from another group", err)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM), errors.Is(err, unix.EROFS):
		return mayfly.Errorf(mayfly.KindUnavailable, "cgroup: %w: run as root with writable control groups, or have the group delegated to this user "+
			"(systemd: Delegate=yes in the unit)", err)
	default:
		return mayfly.Errorf(mayfly.KindUnavailable, "cgroup: %w", err)
	}
}

// moveAside puts every process of a group into a leaf below it, and has Close bring them back.
func (m *Manager) moveAside(dir, leaf string, controllers []string) error {
	leaf = dir + "/" + leaf
	if err := m.fs.Mkdir(leaf); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("cgroup: %w", err)
	}
	m.undo = append(m.undo, func() {
		if m.fs.Write(dir+"/cgroup.subtree_control", "-"+strings.Join(controllers, " -")) == nil {
			m.migrate(leaf, dir)
			m.fs.Rmdir(leaf)
		}
	})
	return m.migrate(dir, leaf)
}

// migrate moves processes until none is left: those being forked meanwhile are in the next list.
func (m *Manager) migrate(from, to string) error {
	for range 100 {
		text, err := m.fs.Read(from + "/cgroup.procs")
		if err != nil {
			return fmt.Errorf("cgroup: %w", err)
		}
		pids := strings.Fields(text)
		if len(pids) == 0 {
			return nil
		}
		for _, pid := range pids {
			if err := m.fs.Write(to+"/cgroup.procs", pid); err != nil && !errors.Is(err, unix.ESRCH) {
				return mayfly.Errorf(mayfly.KindUnavailable, "cgroup: move process %s out of %s: %w", pid, from, err)
			}
		}
	}
	return mayfly.Errorf(mayfly.KindUnavailable, "cgroup: %s gets new processes faster than they can be moved out of it", from)
}

type v2Dialect struct{}

func (v2Dialect) version() int { return 2 }

func (v2Dialect) setMemory(g *Group, bytes int64) error {
	v, swap := "max", "max"
	if bytes > 0 {
		v, swap = strconv.FormatInt(bytes, 10), "0"
	}
	if err := g.write("memory", "memory.max", v); err != nil {
		return err
	}
	// memory.oom.group stays at 0: the kernel kills the process it finds worst, and the caller decides about the rest.
	if err := g.write("memory", "memory.swap.max", swap); err != nil && !errors.Is(err, unix.ENOENT) {
		return err // ENOENT: a kernel without swap accounting
	}
	return nil
}

func (v2Dialect) setCPU(g *Group, millicores int) error {
	quota := "max"
	if millicores > 0 {
		quota = strconv.FormatInt(cpuQuota(millicores), 10)
	}
	return g.write("cpu", "cpu.max", quota+" "+strconv.FormatInt(cpuPeriod.Microseconds(), 10))
}

func (v2Dialect) stats(g *Group) (s Stats, err error) {
	if s.Memory, err = g.readInt("memory", "memory.current"); err != nil {
		return Stats{}, err
	}
	g.mu.RLock()
	if g.peak >= 0 {
		var text string
		if text, err = g.m.fs.ReadFD(g.peak); err == nil {
			s.PeakMemory, err = strconv.ParseInt(text, 10, 64)
		}
	} else if s.PeakMemory, err = g.readInt("memory", "memory.peak"); errors.Is(err, unix.ENOENT) {
		err = nil // before Linux 5.19
	}
	g.mu.RUnlock()
	if err != nil {
		return Stats{}, err
	}
	pids, err := g.readInt("pids", "pids.current")
	if err != nil {
		return Stats{}, err
	}
	s.PIDs = int(pids)
	cpu, err := g.read("cpu", "cpu.stat")
	if err != nil {
		return Stats{}, err
	}
	s.CPU = time.Duration(field(cpu, "usage_usec")) * time.Microsecond
	s.Throttled = field(cpu, "nr_throttled")
	events, err := g.read("memory", "memory.events")
	s.OOMKills = field(events, "oom_kill")
	return s, err
}

// openPeak opens for writing where the kernel can reset the peak (since Linux 6.12), and else for reading.
func (v2Dialect) openPeak(g *Group) (int, error) {
	path := g.path("memory", "memory.peak")
	fd, err := g.m.fs.Open(path, unix.O_RDWR)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EACCES) {
		return g.m.fs.Open(path, unix.O_RDONLY)
	}
	return fd, err
}

// resetPeak: the kernel keeps the new peak for the descriptor that was written to, so it stays open.
func (v2Dialect) resetPeak(g *Group) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	fd := g.peak
	if fd < 0 {
		var err error
		if fd, err = g.m.fs.Open(g.path("memory", "memory.peak"), unix.O_RDWR); err != nil {
			if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EACCES) {
				return ErrUnsupported
			}
			return fmt.Errorf("cgroup: %w", err)
		}
	}
	if err := g.m.fs.WriteFD(fd, "reset"); err != nil {
		unix.Close(fd)
		g.peak = -1
		return ErrUnsupported
	}
	g.peak = fd
	return nil
}

func (v2Dialect) killAll(g *Group) error {
	err := g.write("pids", "cgroup.kill", "1")
	if errors.Is(err, unix.ENOENT) {
		// The file is there since Linux 5.14: either an older kernel, or the group is gone.
		if _, gerr := g.read("pids", "cgroup.procs"); gerr == nil {
			return ErrUnsupported
		}
	}
	return err
}

func (v2Dialect) freeze(g *Group, frozen bool) error {
	state := "0"
	if frozen {
		state = "1"
	}
	return g.write("freezer", "cgroup.freeze", state)
}

func (v2Dialect) frozen(g *Group) (bool, error) {
	events, err := g.read("freezer", "cgroup.events")
	return field(events, "frozen") == 1, err
}
