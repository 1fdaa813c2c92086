package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/google/nftables"
)

// isolationFindings tries what the native sandbox is made of.
func isolationFindings(ctx context.Context) []finding {
	return []finding{kernel(), privilege(), namespaces(ctx), controlGroups(), seccomp(), packetFilter()}
}

func kernel() finding {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return finding{Check: "kernel", Status: statusWarn, Detail: err.Error()}
	}
	f := finding{Check: "kernel", Status: statusOK, Detail: "Linux " + strings.TrimSpace(string(release))}
	var major, minor int
	if _, err := fmt.Sscanf(string(release), "%d.%d", &major, &minor); err == nil && (major < 5 || major == 5 && minor < 12) {
		f.Status, f.Fix = statusFail, "the native sandbox needs Linux 5.12 or newer (mount_setattr); `mayfly serve --isolation=none` runs without isolation"
	}
	return f
}

func privilege() finding {
	if os.Geteuid() == 0 {
		return finding{Check: "privilege", Status: statusOK, Detail: "root"}
	}
	return finding{Check: "privilege", Status: statusWarn, Detail: fmt.Sprintf("uid %d", os.Geteuid()),
		Fix: "the native sandbox is set up by root: run `mayfly serve` with sudo, or `--isolation=none` for development"}
}

// namespaces starts this program in new namespaces of every kind that a sandbox has.
func namespaces(ctx context.Context) finding {
	f := finding{Check: "namespaces", Status: statusOK, Detail: "user, mount, pid, net, ipc, uts"}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", "version")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	if err := cmd.Run(); err != nil {
		f.Status, f.Detail = statusFail, err.Error()
		f.Fix = "the kernel refused: look at sysctl user.max_user_namespaces and kernel.unprivileged_userns_clone, and, in a container, at its seccomp profile"
	}
	return f
}

// controlGroups looks for the controllers that limits are made of, in either version of the interface.
func controlGroups() finding {
	f := finding{Check: "control groups", Status: statusOK}
	need := []string{"memory", "cpu", "pids"}
	var have []string
	if src, err := os.ReadFile("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		f.Detail = "version 2: "
		have = strings.Fields(string(src))
	} else {
		f.Detail = "version 1: "
		mounts, _ := os.ReadFile("/proc/self/mounts") // unreadable: nothing is found, which is said
		for line := range strings.Lines(string(mounts)) {
			if fields := strings.Fields(line); len(fields) > 3 && fields[2] == "cgroup" {
				have = append(have, strings.Split(fields[3], ",")...)
			}
		}
	}
	var found, missing []string
	for _, n := range need {
		if strings.Contains(" "+strings.Join(have, " ")+" ", " "+n+" ") {
			found = append(found, n)
		} else {
			missing = append(missing, n)
		}
	}
	f.Detail += listOr(found, "none")
	if len(missing) > 0 {
		f.Status = statusFail
		f.Fix = "missing: " + strings.Join(missing, ", ") + ": mount the controllers (systemd does), or, in a container, run it with its own control groups"
	}
	return f
}

func seccomp() finding {
	if _, err := os.Stat("/proc/sys/kernel/seccomp/actions_avail"); err != nil {
		return finding{Check: "seccomp", Status: statusFail, Detail: "not in this kernel", Fix: "run a kernel with CONFIG_SECCOMP_FILTER"}
	}
	return finding{Check: "seccomp", Status: statusOK, Detail: "filters"}
}

// packetFilter asks nf_tables for its tables: functions reach the internet through it.
func packetFilter() finding {
	f := finding{Check: "nftables", Status: statusOK, Detail: "answers"}
	conn, err := nftables.New()
	if err == nil {
		_, err = conn.ListTables()
	}
	if err != nil {
		f.Status, f.Detail = statusWarn, err.Error()
		f.Fix = "without it functions have no outbound network; it needs root and a kernel with nf_tables"
	}
	return f
}
