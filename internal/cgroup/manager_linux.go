package cgroup

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"mayfly"
)

// Manager owns one parent group and the groups below it. It is safe for concurrent use.
type Manager struct {
	fs   files
	v    dialect
	dirs []string          // the parent group's directories, one for each hierarchy
	dir  map[string]string // the same by controller

	// home are the "tasks" files of the groups this process is in (v1): where a thread goes back to after Spawn.
	home []int

	undo []func() // takes back, last first, what Open changed outside the parent group

	closing sync.Once
	closed  error
}

// dialect is how one version of the kernel's interface does what a Group promises.
type dialect interface {
	version() int
	setMemory(g *Group, bytes int64) error
	setCPU(g *Group, millicores int) error
	stats(g *Group) (Stats, error)
	openPeak(g *Group) (int, error) // the file with the peak of memory
	resetPeak(g *Group) error
	killAll(g *Group) error // kills in one stroke; ErrUnsupported where there is none
	freeze(g *Group, frozen bool) error
	frozen(g *Group) (bool, error)
}

// environment is what Open learns from the machine, so that tests can say something else.
type environment struct {
	fs        files
	mountinfo string
	self      string   // /proc/self/cgroup
	needs     []string // v2 controllers
}

// Open finds the hierarchies and makes the parent group, or takes over one that an earlier process left behind. It
// fails, telling what is missing and how to get it, when a controller cannot be used.
func Open(o Options) (*Manager, error) {
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("cgroup: %w", err)
	}
	self, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, mayfly.Errorf(mayfly.KindUnavailable, "cgroup: this kernel has no control groups: %w", err)
	}
	return open(o, environment{kernelFiles{}, string(mountinfo), string(self), []string{"cpu", "memory", "pids"}})
}

func open(o Options, env environment) (*Manager, error) {
	if err := checkName("parent", o.Parent); err != nil {
		return nil, err
	}
	m := &Manager{fs: env.fs, dir: make(map[string]string)}
	v1, v2 := choose(parseMounts(env.mountinfo), o.Root)
	var err error
	switch {
	// A unified hierarchy beside v1 ones is systemd's "hybrid" set-up: its controllers are bound to v1.
	case v2 != nil && len(v1) == 0:
		m.v = v2Dialect{}
		err = m.openV2(o.Parent, *v2, env)
	case len(v1) > 0:
		m.v = v1Dialect{}
		err = m.openV1(o.Parent, v1, env)
	default:
		err = mayfly.Errorf(mayfly.KindUnavailable, "cgroup: no control group hierarchy is mounted%s; "+
			"mount one (mount -t cgroup2 none /sys/fs/cgroup) or, in a container, run it with its cgroups writable (docker run --privileged --cgroupns=private)", below(o.Root))
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

func below(root string) string {
	if root == "" {
		return ""
	}
	return " below " + root
}

// choose picks the mounts to use: for each v1 controller one, and the unified hierarchy. Where one is mounted twice, the
// one below /sys/fs/cgroup or a writable one wins.
func choose(all []mount, root string) (v1 map[string]mount, v2 *mount) {
	const usual = "/sys/fs/cgroup"
	better := func(a, b mount) bool {
		if a.readOnly != b.readOnly {
			return !a.readOnly
		}
		under := func(m mount) bool { return m.point == usual || strings.HasPrefix(m.point, usual+"/") }
		return under(a) && !under(b)
	}
	v1 = make(map[string]mount)
	for _, m := range all {
		if root != "" && m.point != root && !strings.HasPrefix(m.point, strings.TrimSuffix(root, "/")+"/") {
			continue
		}
		if m.v2 {
			if v2 == nil || better(m, *v2) {
				v2 = &m
			}
			continue
		}
		for _, c := range m.controllers {
			if old, ok := v1[c]; !ok || better(m, old) {
				v1[c] = m
			}
		}
	}
	return v1, v2
}

// makeParent creates one directory of the parent group.
func (m *Manager) makeParent(path string) error {
	err := m.fs.Mkdir(path)
	switch {
	case err == nil, errors.Is(err, unix.EEXIST):
		m.dirs = append(m.dirs, path)
		return nil
	case errors.Is(err, unix.EROFS):
		return mayfly.Errorf(mayfly.KindUnavailable, "cgroup: %w: the control groups are mounted read-only; "+
			"in a container, mount them writable (docker run --privileged --cgroupns=private)", err)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return mayfly.Errorf(mayfly.KindUnavailable, "cgroup: %w: run as root, or have the group delegated to this user "+
			"(systemd: Delegate=yes in the unit)", err)
	default:
		return mayfly.Errorf(mayfly.KindUnavailable, "cgroup: %w", err)
	}
}

// Version is 1 or 2.
func (m *Manager) Version() int { return m.v.version() }

// Create makes a group without limits. The id is the name of its directory.
func (m *Manager) Create(id string) (*Group, error) {
	if err := checkName("id", id); err != nil {
		return nil, err
	}
	g := m.Group(id)
	for i, dir := range m.dirs {
		if err := m.fs.Mkdir(dir + "/" + id); err != nil {
			for _, made := range m.dirs[:i] {
				m.fs.Rmdir(made + "/" + id)
			}
			if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EAGAIN) {
				return nil, mayfly.Errorf(mayfly.KindUnavailable, "cgroup: %w: the machine's limit on the number of control groups is reached "+
					"(cgroup.max.descendants, or 65,535 memory groups)", err)
			}
			return nil, fmt.Errorf("cgroup: %w", err)
		}
	}
	if m.Version() == 2 {
		fd, err := m.fs.Open(m.dirs[0]+"/"+id, unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			m.fs.Rmdir(m.dirs[0] + "/" + id)
			return nil, fmt.Errorf("cgroup: %w", err)
		}
		g.fd = fd
	}
	return g, nil
}

// Group returns a group that is there already, such as one that List names. It does not look whether it is.
func (m *Manager) Group(id string) *Group { return &Group{m: m, id: id, fd: -1, peak: -1} }

// List names the groups below the parent: at start, those that a dead process left behind.
func (m *Manager) List() []string {
	var ids []string
	for _, dir := range m.dirs {
		names, _ := m.fs.Dirs(dir)
		for _, n := range names {
			if !slices.Contains(ids, n) {
				ids = append(ids, n)
			}
		}
	}
	slices.Sort(ids)
	return ids
}

// Close removes the parent group. It fails while there are groups in it. It can be called again and then returns the
// first call's error.
func (m *Manager) Close() error {
	m.closing.Do(func() {
		for _, dir := range m.dirs {
			if err := m.fs.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
				m.closed = errors.Join(m.closed, fmt.Errorf("cgroup: %w", err))
			}
		}
		for _, undo := range slices.Backward(m.undo) {
			undo()
		}
	})
	return m.closed
}
