package cgroup

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// fakeKernel is a unified hierarchy in memory, for the half of the package that this machine may not have. It has the
// kernel's rules about who may hold processes and which files there are, and remembers every change it is asked for.
type fakeKernel struct {
	groups    map[string]*fakeGroup
	fds       map[int]string
	log       []string
	delegated string
	namespace bool             // the top is a container's, and not exempt from the rule about processes
	lacks     []string         // files this kernel does not have
	fails     map[string]error // by operation and path
}

type fakeGroup struct {
	files map[string]string
	procs []string
}

func newFake(controllers string) *fakeKernel {
	k := &fakeKernel{groups: make(map[string]*fakeGroup), fds: make(map[int]string), fails: make(map[string]error)}
	k.groups["/cg"] = &fakeGroup{files: map[string]string{"cgroup.controllers": controllers, "cgroup.subtree_control": ""}}
	return k
}

func (k *fakeKernel) file(p string) (*fakeGroup, string, error) {
	g := k.groups[path.Dir(p)]
	if g == nil {
		return nil, "", named("open", p, unix.ENOENT)
	}
	name := path.Base(p)
	if _, ok := g.files[name]; !ok && name != "cgroup.procs" {
		return nil, "", named("open", p, unix.ENOENT)
	}
	return g, name, nil
}

func (k *fakeKernel) Mkdir(p string) error {
	if err := k.fails["mkdir "+p]; err != nil {
		return named("mkdir", p, err)
	}
	up := k.groups[path.Dir(p)]
	switch {
	case up == nil:
		return named("mkdir", p, unix.ENOENT)
	case k.groups[p] != nil:
		return named("mkdir", p, unix.EEXIST)
	}
	k.log = append(k.log, "mkdir "+p)
	has := strings.Fields(up.files["cgroup.subtree_control"])
	g := &fakeGroup{files: map[string]string{
		"cgroup.controllers": strings.Join(has, " "), "cgroup.subtree_control": "", "cgroup.kill": "", "cgroup.freeze": "0",
		"cgroup.events": "populated 0\nfrozen 0", "cpu.stat": "usage_usec 1234567\nuser_usec 1\nsystem_usec 2",
	}}
	if slices.Contains(has, "memory") {
		g.files["memory.max"], g.files["memory.swap.max"] = "max", "max"
		g.files["memory.current"], g.files["memory.peak"] = "1048576", "2097152"
		g.files["memory.events"] = "low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 0"
	}
	if slices.Contains(has, "cpu") {
		g.files["cpu.max"] = "max 100000"
		g.files["cpu.stat"] += "\nnr_periods 9\nnr_throttled 5\nthrottled_usec 77"
	}
	if slices.Contains(has, "pids") {
		g.files["pids.max"], g.files["pids.current"] = "max", "3"
	}
	for _, f := range k.lacks {
		delete(g.files, f)
	}
	k.groups[p] = g
	return nil
}

func (k *fakeKernel) Rmdir(p string) error {
	g := k.groups[p]
	switch {
	case g == nil:
		return named("rmdir", p, unix.ENOENT)
	case len(g.procs) > 0:
		return named("rmdir", p, unix.EBUSY)
	}
	if below, _ := k.Dirs(p); len(below) > 0 {
		return named("rmdir", p, unix.EBUSY)
	}
	k.log = append(k.log, "rmdir "+p)
	delete(k.groups, p)
	return nil
}

func (k *fakeKernel) Dirs(p string) (names []string, err error) {
	for other := range k.groups {
		if path.Dir(other) == p {
			names = append(names, path.Base(other))
		}
	}
	return names, nil
}

func (k *fakeKernel) Write(p, value string) error {
	if err := k.fails["write "+p]; err != nil {
		return named("write", p, err)
	}
	g, name, err := k.file(p)
	if err != nil {
		return err
	}
	switch name {
	case "cgroup.subtree_control":
		err = k.control(g, p, value)
	case "cgroup.procs":
		if g.files["cgroup.subtree_control"] != "" {
			return named("write", p, unix.EBUSY)
		}
		for _, other := range k.groups {
			other.procs = slices.DeleteFunc(other.procs, func(pid string) bool { return pid == value })
		}
		g.procs = append(g.procs, value)
	case "cgroup.kill":
		g.procs = nil
	case "cgroup.freeze":
		g.files["cgroup.events"] = "populated 1\nfrozen " + value
		g.files[name] = value
	default:
		g.files[name] = value
	}
	if err != nil {
		return named("write", p, err)
	}
	k.log = append(k.log, p+" = "+value)
	return nil
}

func (k *fakeKernel) control(g *fakeGroup, p, value string) error {
	on := strings.Fields(g.files["cgroup.subtree_control"])
	for _, w := range strings.Fields(value) {
		c := w[1:]
		if w[0] == '-' {
			on = slices.DeleteFunc(on, func(s string) bool { return s == c })
			continue
		}
		if !slices.Contains(strings.Fields(g.files["cgroup.controllers"]), c) {
			return unix.ENOENT
		}
		if !slices.Contains(on, c) {
			on = append(on, c)
		}
	}
	if len(g.procs) > 0 && len(on) > 0 && (path.Dir(p) != "/cg" || k.namespace) {
		return unix.EBUSY
	}
	g.files["cgroup.subtree_control"] = strings.Join(on, " ")
	return nil
}

func (k *fakeKernel) Read(p string) (string, error) {
	g, name, err := k.file(p)
	if err != nil {
		return "", err
	}
	if name == "cgroup.procs" {
		return strings.Join(g.procs, "\n"), nil
	}
	return g.files[name], nil
}

// Open gives out real descriptors, as they are closed with the real close.
func (k *fakeKernel) Open(p string, flags int) (int, error) {
	if flags&unix.O_DIRECTORY == 0 {
		if _, _, err := k.file(p); err != nil {
			return -1, err
		}
	}
	fd, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	k.fds[fd] = p
	return fd, err
}

func (k *fakeKernel) WriteFD(fd int, value string) error {
	k.log = append(k.log, fmt.Sprintf("%s (held open) = %s", k.fds[fd], value))
	return k.fails["write "+k.fds[fd]]
}

func (k *fakeKernel) ReadFD(fd int) (string, error) { return "1500000", nil }

func (k *fakeKernel) Delegated(p string) bool { return p == k.delegated }
