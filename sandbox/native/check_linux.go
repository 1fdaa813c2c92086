package native

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// finding is one thing that a sandbox needs of the machine.
type finding struct {
	name string
	ok   bool
	text string // what was found
	fix  string // what to do when not ok
}

// requirements are what New refuses to do without. Control groups are not among them: opening them tells more.
func requirements() []finding {
	return []finding{checkUser(), checkKernel(), checkNamespaces(), checkSeccomp()}
}

func checkUser() finding {
	f := finding{name: "user", ok: os.Geteuid() == 0, text: fmt.Sprintf("user id %d", os.Geteuid())}
	if !f.ok {
		f.fix = "start mayfly as root: it needs it to give each sandbox user ids, limits and a network of its own"
	}
	return f
}

func checkKernel() finding {
	var u unix.Utsname
	unix.Uname(&u)
	release := unix.ByteSliceToString(u.Release[:])
	f := finding{name: "kernel", text: "Linux " + release}
	major, rest, _ := strings.Cut(release, ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, _ := strconv.Atoi(major)
	b, _ := strconv.Atoi(strings.TrimRightFunc(minor, func(r rune) bool { return r < '0' || r > '9' }))
	f.ok = a > 5 || a == 5 && b >= 12
	if !f.ok {
		f.fix = "Linux 5.12 or later is needed, which can change the flags of a detached mount (mount_setattr)"
	}
	return f
}

func checkNamespaces() finding {
	f := finding{name: "user namespaces", ok: true}
	for _, kind := range []string{"user", "mnt", "pid", "net", "ipc", "uts"} {
		b, err := os.ReadFile("/proc/sys/user/max_" + kind + "_namespaces")
		text := strings.TrimSpace(string(b))
		if n, _ := strconv.Atoi(text); err != nil || n == 0 {
			f.ok = false
			f.text = fmt.Sprintf("%s namespaces are not available (user.max_%s_namespaces is %q)", kind, kind, text)
			f.fix = fmt.Sprintf("set sysctl user.max_%s_namespaces=65536, and use a kernel with CONFIG_USER_NS", kind)
			return f
		}
		if kind == "user" {
			f.text = "up to " + text
		}
	}
	return f
}

func checkSeccomp() finding {
	b, err := os.ReadFile("/proc/sys/kernel/seccomp/actions_avail")
	f := finding{name: "seccomp", ok: err == nil, text: strings.TrimSpace(string(b))}
	if !f.ok {
		f.text, f.fix = "no system call filters", "use a kernel with CONFIG_SECCOMP_FILTER"
	}
	return f
}
