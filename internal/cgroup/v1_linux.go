package cgroup

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mayfly"
)

// openV1 makes the parent group in each hierarchy. Controllers that share a hierarchy (cpu,cpuacct) share the directory.
func (m *Manager) openV1(parent string, mounts map[string]mount, env environment) error {
	var missing []string
	for _, c := range controllers {
		if _, ok := mounts[c]; !ok {
			missing = append(missing, c)
		}
	}
	if len(missing) > 0 {
		return mayfly.Errorf(mayfly.KindUnavailable, "cgroup: the control groups of this machine are version 1 without the controllers %s; "+
			"mount them (mount -t cgroup -o %s cgroup /sys/fs/cgroup/%[2]s), enable them in the kernel (cgroup_enable=%[2]s), or boot with version 2 (systemd.unified_cgroup_hierarchy=1)",
			strings.Join(missing, ", "), missing[0])
	}
	for _, c := range controllers {
		path := mounts[c].point + "/" + parent
		if !slices.Contains(m.dirs, path) {
			if err := m.makeParent(path); err != nil {
				return err
			}
		}
		m.dir[c] = path
	}
	// Inherited by every group made below: one write here saves one at each start.
	if err := m.fs.Write(m.dir["memory"]+"/memory.swappiness", "0"); err != nil && !gone(err) {
		return mayfly.Errorf(mayfly.KindUnavailable, "cgroup: %w", err)
	}
	return m.findHome(mounts, parseSelf(env.self))
}

// findHome opens what a thread writes to in order to get back to the groups this process is in. Where those cannot be
// seen (a mount that shows another part of the hierarchy) it goes to the top of what can.
func (m *Manager) findHome(mounts map[string]mount, groups map[string]string) error {
	var done []string
	for _, c := range controllers {
		if slices.Contains(done, m.dir[c]) {
			continue
		}
		done = append(done, m.dir[c])
		fd, err := -1, error(unix.ENOENT)
		if dir, ok := mounts[c].within(groups[c]); ok {
			fd, err = m.fs.Open(dir+"/tasks", unix.O_WRONLY)
		}
		if err != nil {
			fd, err = m.fs.Open(mounts[c].point+"/tasks", unix.O_WRONLY)
		}
		if err != nil {
			return mayfly.Errorf(mayfly.KindUnavailable, "cgroup: %w", err)
		}
		m.home = append(m.home, fd)
		m.undo = append(m.undo, func() { unix.Close(fd) })
	}
	return nil
}

type v1Dialect struct{}

func (v1Dialect) version() int { return 1 }

func (v1Dialect) setMemory(g *Group, bytes int64) error {
	v := "-1"
	if bytes > 0 {
		v = strconv.FormatInt(bytes, 10)
	}
	limit := func() error { return g.write("memory", "memory.limit_in_bytes", v) }
	swap := func() error {
		err := g.write("memory", "memory.memsw.limit_in_bytes", v)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) {
			return nil // the kernel does not account swap (swapaccount=0); swappiness 0 has to do
		}
		return err
	}
	// Memory may never be allowed more than memory and swap together, so the order depends on the direction.
	err := limit()
	if err == nil {
		return swap()
	}
	if !errors.Is(err, unix.EINVAL) {
		return err
	}
	if err := swap(); err != nil {
		return err
	}
	return limit()
}

func (v1Dialect) setCPU(g *Group, millicores int) error {
	quota := int64(-1)
	if millicores > 0 {
		quota = cpuQuota(millicores)
	}
	return g.write("cpu", "cpu.cfs_quota_us", strconv.FormatInt(quota, 10))
}

func (v1Dialect) stats(g *Group) (s Stats, err error) {
	var ns, pids int64
	for _, c := range []struct {
		to               *int64
		controller, file string
	}{
		{&s.Memory, "memory", "memory.usage_in_bytes"},
		{&s.PeakMemory, "memory", "memory.max_usage_in_bytes"},
		{&ns, "cpuacct", "cpuacct.usage"},
		{&pids, "pids", "pids.current"},
	} {
		if *c.to, err = g.readInt(c.controller, c.file); err != nil {
			return Stats{}, err
		}
	}
	s.CPU, s.PIDs = time.Duration(ns), int(pids)
	events, err := g.read("memory", "memory.oom_control") // oom_kill is there since Linux 4.13
	if err != nil {
		return Stats{}, err
	}
	s.OOMKills = field(events, "oom_kill")
	cpu, err := g.read("cpu", "cpu.stat")
	s.Throttled = field(cpu, "nr_throttled")
	return s, err
}

func (v1Dialect) openPeak(g *Group) (int, error) {
	return g.m.fs.Open(g.path("memory", "memory.max_usage_in_bytes"), unix.O_RDONLY)
}

func (v1Dialect) resetPeak(g *Group) error {
	return g.write("memory", "memory.max_usage_in_bytes", "0")
}

func (v1Dialect) killAll(*Group) error { return ErrUnsupported }

func (v1Dialect) freeze(g *Group, frozen bool) error {
	state := "THAWED"
	if frozen {
		state = "FROZEN"
	}
	return g.write("freezer", "freezer.state", state)
}

func (v1Dialect) frozen(g *Group) (bool, error) {
	state, err := g.read("freezer", "freezer.state")
	return state == "FROZEN", err
}
