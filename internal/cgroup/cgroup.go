// Package cgroup makes control groups for sandboxes on Linux, on cgroup v1 (one hierarchy per controller, or several
// combined) and on v2 (the unified hierarchy), behind one small API.
//
// A Manager owns one parent group; every sandbox gets a Group below it. What a Group limits is memory, processor time
// and the number of processes; what it can do beside that is count, freeze and kill. Nothing else of cgroups is used.
//
// It is written for the start path of a sandbox, where microseconds count: no D-Bus, no re-reading of mount tables, no
// write that would only repeat a kernel default, and no migration of running processes: Group.Spawn lets a process be
// born in its group (docs/adr/0003-own-cgroup-code.md has the figures).
package cgroup

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrUnsupported reports something this kernel's or this machine's cgroups cannot do.
var ErrUnsupported = errors.New("cgroup: not supported by this kernel")

// controllers are the v1 names of what a Group uses. On v2 cpuacct and freezer are part of every group and need no
// controller.
var controllers = []string{"memory", "cpu", "cpuacct", "pids", "freezer"}

// Options say where the groups are made.
type Options struct {
	// Root is where the hierarchies are mounted; hierarchies mounted elsewhere are not used. Empty means wherever
	// /proc/self/mountinfo says they are, with those below /sys/fs/cgroup preferred.
	Root string

	// Parent is the name of the parent group, such as "mayfly-1a2b3c". It must be different for each Manager on the
	// machine, and the same after a restart so that List finds what was left behind.
	Parent string
}

// Stats are a group's counters at one moment.
type Stats struct {
	Memory     int64         // bytes in use, page cache included
	PeakMemory int64         // most bytes in use since Create or ResetPeak; 0 where the kernel does not tell (v2 before 5.19)
	CPU        time.Duration // processor time used since Create
	PIDs       int           // processes and threads now
	OOMKills   int64         // processes the kernel has killed because the group was over its memory limit
	Throttled  int64         // periods in which the group used up its processor quota and had to wait
}

// checkName refuses names that would lead out of the parent group or collide with the kernel's own files.
func checkName(what, name string) error {
	if name == "" || len(name) > 200 || strings.ContainsAny(name, "/\x00\n") || strings.HasPrefix(name, ".") ||
		strings.HasPrefix(name, "cgroup.") {
		return fmt.Errorf("cgroup: %s %q is not usable as the name of a group", what, name)
	}
	return nil
}
