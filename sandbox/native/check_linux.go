package native

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Check looks whether this machine can make native sandboxes, without changing anything.
func Check(context.Context) []Finding {
	return append(requirements(), checkGroups(), checkEgress())
}

// requirements are what New refuses to do without. Control groups are not among them: opening them tells more.
func requirements() []Finding {
	return []Finding{checkUser(), checkKernel(), checkNamespaces(), checkSeccomp()}
}

func checkUser() Finding {
	f := Finding{Name: "user", OK: os.Geteuid() == 0, Text: fmt.Sprintf("user id %d", os.Geteuid())}
	if !f.OK {
		f.Fix = "start mayfly as root: it needs it to give each sandbox user ids, limits and a network of its own"
	}
	return f
}

func checkKernel() Finding {
	var u unix.Utsname
	unix.Uname(&u)
	release := unix.ByteSliceToString(u.Release[:])
	f := Finding{Name: "kernel", Text: "Linux " + release}
	major, rest, _ := strings.Cut(release, ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, _ := strconv.Atoi(major)
	b, _ := strconv.Atoi(strings.TrimRightFunc(minor, func(r rune) bool { return r < '0' || r > '9' }))
	f.OK = a > 5 || a == 5 && b >= 12
	if !f.OK {
		f.Fix = "Linux 5.12 or later is needed, which can change the flags of a detached mount (mount_setattr)"
	}
	return f
}

func checkNamespaces() Finding {
	f := Finding{Name: "user namespaces", OK: true}
	for _, kind := range []string{"user", "mnt", "pid", "net", "ipc", "uts"} {
		b, err := os.ReadFile("/proc/sys/user/max_" + kind + "_namespaces")
		text := strings.TrimSpace(string(b))
		if n, _ := strconv.Atoi(text); err != nil || n == 0 {
			f.OK = false
			f.Text = fmt.Sprintf("%s namespaces are not available (user.max_%s_namespaces is %q)", kind, kind, text)
			f.Fix = fmt.Sprintf("set sysctl user.max_%s_namespaces=65536, and use a kernel with CONFIG_USER_NS", kind)
			return f
		}
		if kind == "user" {
			f.Text = "up to " + text
		}
	}
	return f
}

func checkSeccomp() Finding {
	b, err := os.ReadFile("/proc/sys/kernel/seccomp/actions_avail")
	f := Finding{Name: "seccomp", OK: err == nil, Text: strings.TrimSpace(string(b))}
	if !f.OK {
		f.Text, f.Fix = "no system call filters", "use a kernel with CONFIG_SECCOMP_FILTER"
	}
	return f
}

// neededControllers are those a sandbox is limited by.
var neededControllers = []string{"cpu", "memory", "pids"}

func checkGroups() Finding {
	f := Finding{Name: "control groups"}
	if b, err := os.ReadFile("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		f.Text = "version 2, with " + strings.TrimSpace(string(b))
		f.OK = true
		for _, c := range neededControllers {
			f.OK = f.OK && slices.Contains(strings.Fields(string(b)), c)
		}
	} else {
		var found []string
		for _, c := range neededControllers {
			if st, err := os.Stat("/sys/fs/cgroup/" + c); err == nil && st.IsDir() {
				found = append(found, c)
			}
		}
		f.Text = "version 1, with " + strings.Join(found, " ")
		f.OK = len(found) == len(neededControllers)
	}
	if !f.OK {
		f.Fix = "mount the control groups " + strings.Join(neededControllers, ", ") + " below /sys/fs/cgroup, or set where they are mounted"
	}
	return f
}

// checkEgress looks for what functions need to reach the network. Both may be modules that the kernel loads on demand,
// so their absence here is no proof; the finding is about the firewall tables only.
func checkEgress() Finding {
	f := Finding{Name: "outbound network", OK: true, Text: "IP forwarding is on"}
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_forward")
	switch {
	case err != nil:
		f.OK, f.Text, f.Fix = false, "no IPv4 forwarding", "use a kernel with IPv4 and nftables, or set egress to none"
	case strings.TrimSpace(string(b)) != "1":
		f.Text = "IP forwarding is off; the first function with egress switches it on"
	}
	return f
}
