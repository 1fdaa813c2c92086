//go:build linux

package native_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mayfly"
	"mayfly/sandbox"
	"mayfly/sandbox/native"
	"mayfly/sandbox/sandboxtest"
)

var boxes atomic.Int64

func create(t *testing.T, d *native.Driver, change ...func(*sandbox.Binding)) sandbox.Sandbox {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	s, err := d.Create(ctx, fmt.Sprintf("t%d", boxes.Add(1)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Destroy(context.Background()); err != nil {
			t.Error(err)
		}
	})
	b := sandboxtest.Binding()
	for _, f := range change {
		f(&b)
	}
	if waiting {
		return prestart(t, s.(sandbox.Prestarter), b)
	}
	if err := s.Bind(ctx, b); err != nil {
		t.Fatal(err)
	}
	return s
}

func exe(words ...string) []string { return append(sandboxtest.Command()[:1], words...) }

// attack runs a probe in a fresh sandbox and returns what it printed.
func attack(t *testing.T, d *native.Driver, words ...string) string {
	t.Helper()
	out, _, _ := try(t, create(t, d), words...)
	return out
}

func try(t *testing.T, s sandbox.Sandbox, words ...string) (stdout, stderr string, exit mayfly.Exit) {
	t.Helper()
	return sandboxtest.Output(t, s, sandbox.Process{Args: exe(append([]string{"probe"}, words...)...), Dir: "/tmp",
		Env: []string{"GORACE=atexit_sleep_ms=0"}})
}

func refused(t *testing.T, what, out string) {
	t.Helper()
	if !strings.HasPrefix(out, "refused: ") {
		t.Errorf("%s: %s", what, out)
	}
}

func TestEscapeFiles(t *testing.T) { everyWay(t, escapeFiles) }

func escapeFiles(t *testing.T) {
	data := t.TempDir()
	d := newDriver(t, func(o *native.Options) { o.DataDir = data })
	secret := filepath.Join(data, "secret")
	code := t.TempDir()
	for _, path := range []string{secret, filepath.Join(code, "other.js")} {
		if err := os.WriteFile(path, []byte("secret"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	neighbour := create(t, d, func(b *sandbox.Binding) {
		b.Mounts = append(b.Mounts, sandbox.Mount{Source: code, Target: "/opt"})
	})
	if out, _, _ := try(t, neighbour, "create", "/tmp/mine"); out != "created" {
		t.Fatalf("a sandbox cannot write its own /tmp: %s", out)
	}
	for _, path := range []string{
		data, secret, "/opt/other.js", filepath.Join(code, "other.js"), "/tmp/mine", "/etc/shadow", "/root", "/root/.ssh", "/home/sbx_user1051",
		"/boot", "/sys", "/sys/fs/cgroup", "/run", "/mnt", "/var/lib", "/var/log", "/scratch", "/dev/shm", "/dev/vda", "/dev/mem",
		"/proc/1/environ", "/proc/1/mem", "/proc/1/root/etc", "/proc/1/cwd/etc", "/proc/1/fd", "/proc/1/maps", "/proc/kcore", "/proc/keys",
		"/proc/kallsyms", "/proc/timer_list", "/proc/scsi", "/proc/acpi", "/proc/kmsg",
		"/proc/self/root/../../root", "/../../../root",
	} {
		refused(t, "read "+path, attack(t, d, "read", path))
	}
	for _, path := range []string{
		"/proc/sysrq-trigger", "/proc/sys/kernel/hostname", "/proc/sys/kernel/core_pattern", "/proc/sys/vm/overcommit_memory", "/proc/sys/net/ipv4/ip_forward",
		"/proc/self/uid_map", "/proc/1/oom_score_adj", "/proc/self/attr/exec", "/etc/passwd", "/etc/resolv.conf", "/usr/bin/env", "/var/task/native.test",
		"/proc/irq/0/smp_affinity", "/sys/fs/cgroup/memory/memory.limit_in_bytes",
	} {
		refused(t, "write "+path, attack(t, d, "write", path))
	}
	for _, path := range []string{"/x", "/etc/x", "/dev/x", "/usr/x", "/var/task/x", "/opt/x", "/mnt/x", "/run/x", "/proc/x"} {
		refused(t, "create "+path, attack(t, d, "create", path))
	}
	if b, err := os.ReadFile(secret); err != nil || string(b) != "secret" {
		t.Errorf("the secret became %q %v", b, err)
	}
}

func TestEscapeCalls(t *testing.T) { everyWay(t, escapeCalls) }

func escapeCalls(t *testing.T) {
	d := newDriver(t)
	for _, name := range []string{
		"mount", "bind mount", "remount", "umount", "pivot_root", "chroot", "open_tree", "fsopen", "unshare user", "unshare mount", "unshare net",
		"clone user", "clone3", "setns", "ptrace", "process_vm_readv", "pidfd_getfd", "kcmp", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup",
		"keyctl", "add_key", "request_key", "open_by_handle_at", "init_module", "kexec_load", "reboot", "swapon", "acct", "quotactl", "syslog",
		"sethostname", "settimeofday", "personality", "setuid", "setgid", "setgroups", "mknod", "packet socket", "raw socket", "vsock socket",
		"netlink netfilter", "tiocsti", "keep caps", "ambient caps", "unset nnp", "limits of init", "nice",
	} {
		out := attack(t, d, "call", name)
		switch out {
		case "refused: operation not permitted", "refused: function not implemented", "refused: address family not supported by protocol":
		case "refused: permission denied": // nice
		case "refused: invalid argument":
			if name != "unset nnp" {
				t.Errorf("%s: %s", name, out)
			}
		default:
			t.Errorf("%s: %s", name, out)
		}
	}
}

func TestEscapeWithoutFilter(t *testing.T) { everyWay(t, escapeWithoutFilter) }

// escapeWithoutFilter has the namespaces and missing capabilities alone refuse what matters most.
func escapeWithoutFilter(t *testing.T) {
	d := newDriver(t, func(o *native.Options) { o.NoSeccomp = true })
	for _, name := range []string{
		"mount", "bind mount", "remount", "umount", "pivot_root", "chroot", "ptrace", "init_module", "kexec_load", "reboot", "swapon", "acct",
		"sethostname", "settimeofday", "setuid", "setgid", "mknod", "packet socket", "raw socket", "keep caps", "limits of init", "syslog",
	} {
		refused(t, name, attack(t, d, "call", name))
	}
}

func TestPrivileges(t *testing.T) { everyWay(t, privileges) }

func privileges(t *testing.T) {
	d := newDriver(t)
	status := attack(t, d, "read", "/proc/self/status")
	for _, want := range []string{
		`CapInh:\s0{16}`, `CapPrm:\s0{16}`, `CapEff:\s0{16}`, `CapBnd:\s0{16}`, `CapAmb:\s0{16}`, `NoNewPrivs:\s1`, `Seccomp:\s2`,
		`Uid:\s993\s993\s993\s993`, `Gid:\s990\s990\s990\s990`, `Groups:\s+\n`, `Umask:\s0022`, `CoreDumping:\s0`,
	} {
		if !regexp.MustCompile(want).MatchString(status) {
			t.Errorf("want %s in\n%s", want, status)
		}
	}
	if out := attack(t, d, "read", "/proc/self/oom_score_adj"); out != "1000\n" {
		t.Errorf("oom_score_adj %q", out)
	}
	if status := attack(t, d, "read", "/proc/1/status"); !disarmed.MatchString(status) {
		t.Errorf("the init is\n%s", status)
	}
	limits := attack(t, d, "read", "/proc/self/limits")
	for _, want := range []string{`Max open files\s+1024\s+1024`, `Max core file size\s+0\s+0`, `Max msgqueue size\s+0\s+0`} {
		if !regexp.MustCompile(want).MatchString(limits) {
			t.Errorf("want %s in\n%s", want, limits)
		}
	}
	refused(t, "raise the limit of open files", attack(t, d, "rlimit"))
	// The control group's path would tell where on the host it is.
	if out := attack(t, d, "read", "/proc/self/cgroup"); regexp.MustCompile(`mayfly|/t\d`).MatchString(out) {
		t.Errorf("the control group shows: %s", out)
	}
}

// disarmed is the status of an init that can open ports and do nothing else.
var disarmed = regexp.MustCompile(`CapPrm:\s0{13}400\nCapEff:\s0{13}400\nCapBnd:\s0{16}`)

func TestPrestartIsDisarmed(t *testing.T) {
	d := newDriver(t)
	sb, err := d.Create(context.Background(), "prestart")
	if err != nil {
		t.Fatal(err)
	}
	defer sb.Destroy(context.Background())
	s := sb.(sandbox.Prestarter)
	l, err := s.Listen(9001)
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	err = s.Prestart(context.Background(), sandboxtest.Binding().Mounts, sandbox.Process{Args: sandboxtest.Command("obey", "127.0.0.1:9001"), Stdout: w, Stderr: w})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	bind := sandboxtest.Binding()
	bind.Mounts = nil
	if err := s.Bind(context.Background(), bind); err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "cat\n/proc/1/status")
	c.Close()
	if status, err := io.ReadAll(r); err != nil || !disarmed.Match(status) {
		t.Errorf("the init is\n%s %v", status, err)
	}
}

func TestSetUIDGivesNothing(t *testing.T) { everyWay(t, setUIDGivesNothing) }

func setUIDGivesNothing(t *testing.T) {
	d := newDriver(t)
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "setuid")
	if err := os.WriteFile(program, b, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(program, 0o755|os.ModeSetuid|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	s := create(t, d, func(b *sandbox.Binding) { b.Mounts = append(b.Mounts, sandbox.Mount{Source: dir, Target: "/opt"}) })
	out, stderr, _ := sandboxtest.Output(t, s, sandbox.Process{Args: []string{"/opt/setuid", "probe", "setuid"}})
	if out != "euid 993" {
		t.Errorf("%s %s", out, stderr)
	}
}

func TestProcessesAreHidden(t *testing.T) { everyWay(t, processesAreHidden) }

func processesAreHidden(t *testing.T) {
	d := newDriver(t)
	create(t, d).Start(context.Background(), sandbox.Process{Args: exe("probe", "burn", "1")})
	if out := attack(t, d, "pids"); out != "[/proc/1 /proc/2]" {
		t.Errorf("sees %s", out)
	}
	for _, pid := range []int{1, -1, os.Getpid()} {
		refused(t, fmt.Sprint("kill ", pid), attack(t, d, "kill", strconv.Itoa(pid)))
	}
	out, _, _ := sandboxtest.Output(t, create(t, d), sandbox.Process{Args: []string{"/bin/ls", "-l", "/proc/self/fd"}})
	if n := strings.Count(out, " -> "); n != 4 { // 0, 1, 2 and the folder itself
		t.Errorf("descriptors inside:\n%s", out)
	}
}

func TestUserIDsDiffer(t *testing.T) { everyWay(t, userIDsDiffer) }

func userIDsDiffer(t *testing.T) {
	d := newDriver(t)
	first, last := d.IDs()
	seen := map[string]bool{}
	for range 3 {
		s := create(t, d) // stays alive
		out, _, _ := try(t, s, "read", "/proc/self/uid_map")
		f := strings.Fields(out)
		if len(f) != 3 || f[0] != "0" || seen[f[1]] {
			t.Fatalf("uid_map %q, others %v", out, seen)
		}
		seen[f[1]] = true
		if id, _ := strconv.ParseUint(f[1], 10, 32); uint32(id) < first || uint32(id) > last {
			t.Errorf("id %d is not between %d and %d", id, first, last)
		}
	}
}

func TestNetworkIsClosed(t *testing.T) { everyWay(t, networkIsClosed) }

func networkIsClosed(t *testing.T) {
	d := newDriver(t)
	host, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	port := strconv.Itoa(host.Addr().(*net.TCPAddr).Port)
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		ip := a.(*net.IPNet).IP
		if ip.IsLinkLocalUnicast() {
			continue
		}
		refused(t, "dial the host at "+ip.String(), attack(t, d, "dial", "tcp", net.JoinHostPort(ip.String(), port)))
	}
	neighbour := create(t, d)
	if _, err := neighbour.Listen(9001); err != nil {
		t.Fatal(err)
	}
	refused(t, "dial a neighbour", attack(t, d, "dial", "tcp", "127.0.0.1:9001"))
	refused(t, "dial a public address", attack(t, d, "dial", "tcp", "198.51.100.1:80"))
	for _, name := range []string{"@mayfly-test-" + port, filepath.Join(t.TempDir(), "socket")} {
		l, err := net.Listen("unix", name)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		refused(t, "dial "+name, attack(t, d, "dial", "unix", name))
	}
}
