//go:build linux

package native_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// probe is what an attacker would run: the test binary, inside a sandbox. Every probe prints "refused: …" or what it got.
func probe() {
	if len(os.Args) < 3 || os.Args[1] != "probe" {
		return
	}
	name, args := os.Args[2], os.Args[3:]
	if name == "obey" {
		_, err := obey(args)
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	for n, f := range probes {
		if n == name {
			out, err := f(args)
			if err != nil {
				fmt.Printf("refused: %v", err)
			} else {
				fmt.Print(out)
			}
			os.Exit(0)
		}
	}
	fmt.Println("no such probe")
	os.Exit(2)
}

var probes = map[string]func(args []string) (string, error){
	"read": func(a []string) (string, error) {
		if st, err := os.Stat(a[0]); err != nil {
			return "", err
		} else if st.IsDir() {
			entries, err := os.ReadDir(a[0])
			if err == nil && len(entries) == 0 {
				err = errors.New("empty folder")
			}
			return fmt.Sprint(entries), err
		}
		b, err := os.ReadFile(a[0])
		if err == nil && len(b) == 0 {
			err = errors.New("empty file")
		}
		return string(b), err
	},
	"write": func(a []string) (string, error) {
		f, err := os.OpenFile(a[0], os.O_WRONLY, 0)
		if err != nil {
			return "", err
		}
		defer f.Close()
		_, err = f.WriteString("1")
		return "written", err
	},
	"create": func(a []string) (string, error) { return "created", os.WriteFile(a[0], []byte("x"), 0o600) },
	"dial": func(a []string) (string, error) {
		c, err := net.DialTimeout(a[0], a[1], 3*time.Second)
		if err != nil {
			return "", err
		}
		c.Close()
		return "connected", nil
	},
	"resolve": func(a []string) (string, error) {
		addrs, err := net.LookupHost(a[0])
		return fmt.Sprint(addrs), err
	},
	"call":   rawCall,
	"setuid": func([]string) (string, error) { return fmt.Sprint("euid ", os.Geteuid()), nil },
	"kill": func(a []string) (string, error) {
		pid, _ := strconv.Atoi(a[0])
		return "signalled", unix.Kill(pid, unix.SIGKILL)
	},
	"pids": func([]string) (string, error) {
		m, err := filepath.Glob("/proc/[0-9]*")
		return fmt.Sprint(m), err
	},
	"forkbomb": func([]string) (string, error) {
		n := 0
		for {
			c := exec.Command("/bin/sleep", "1000")
			if err := c.Start(); err != nil {
				if errors.Is(err, unix.EAGAIN) {
					return fmt.Sprint(n), nil
				}
				return "", err
			}
			n++
		}
	},
	"memory": func([]string) (string, error) {
		var keep [][]byte
		for {
			b := make([]byte, 1<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			keep = append(keep, b)
			runtime.KeepAlive(keep)
		}
	},
	"memory-child": func([]string) (string, error) {
		err := exec.Command(os.Args[0], "probe", "memory").Run()
		return fmt.Sprint("alive: ", err), nil
	},
	"fill": func(a []string) (string, error) {
		f, err := os.Create(a[0])
		if err != nil {
			return "", err
		}
		n := int64(0)
		b := make([]byte, 64<<10)
		for {
			k, err := f.Write(b)
			n += int64(k)
			if err != nil {
				return fmt.Sprint(n), onlyIf(err, unix.ENOSPC)
			}
		}
	},
	"inodes": func(a []string) (string, error) {
		for n := 0; ; n++ {
			f, err := os.Create(fmt.Sprintf("%s/%d", a[0], n))
			if err != nil {
				return fmt.Sprint(n), onlyIf(err, unix.ENOSPC)
			}
			f.Close()
		}
	},
	"files": func([]string) (string, error) {
		for n := 0; ; n++ {
			if _, err := unix.Open("/dev/null", unix.O_RDONLY, 0); err != nil {
				return fmt.Sprint(n), onlyIf(err, unix.EMFILE)
			}
		}
	},
	"rlimit": func([]string) (string, error) {
		l := unix.Rlimit{Cur: 1 << 20, Max: 1 << 20}
		return "raised", unix.Setrlimit(unix.RLIMIT_NOFILE, &l)
	},
	"burn": func(a []string) (string, error) {
		ms, _ := strconv.Atoi(a[0])
		start := time.Now()
		for ms == 0 || cpu() < time.Duration(ms)*time.Millisecond {
		}
		return fmt.Sprint(time.Since(start).Milliseconds()), nil
	},
}

func onlyIf(err, want error) error {
	if errors.Is(err, want) {
		return nil
	}
	return err
}

func cpu() time.Duration {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts)
	return time.Duration(ts.Nano())
}

// rawCall makes one system call by name, with arguments that would succeed if it were allowed, or that fail with
// another errno than that of a refusal.
func rawCall(a []string) (string, error) {
	runtime.LockOSThread()
	str := func(s string) uintptr {
		b, _ := unix.BytePtrFromString(s)
		return uintptr(unsafe.Pointer(b))
	}
	buf := make([]byte, 4096)
	mem := uintptr(unsafe.Pointer(&buf[0]))
	calls := map[string][]uintptr{
		"mount":             {unix.SYS_MOUNT, str("none"), str("/tmp"), str("tmpfs"), 0, 0},
		"bind mount":        {unix.SYS_MOUNT, str("/usr"), str("/tmp"), 0, unix.MS_BIND, 0},
		"remount":           {unix.SYS_MOUNT, 0, str("/"), 0, unix.MS_REMOUNT | unix.MS_BIND, 0},
		"umount":            {unix.SYS_UMOUNT2, str("/proc"), unix.MNT_DETACH},
		"pivot_root":        {unix.SYS_PIVOT_ROOT, str("/tmp"), str("/tmp")},
		"chroot":            {unix.SYS_CHROOT, str("/tmp")},
		"open_tree":         {unix.SYS_OPEN_TREE, 0, str("/usr"), unix.OPEN_TREE_CLONE},
		"fsopen":            {unix.SYS_FSOPEN, str("tmpfs"), 0},
		"unshare user":      {unix.SYS_UNSHARE, unix.CLONE_NEWUSER},
		"unshare mount":     {unix.SYS_UNSHARE, unix.CLONE_NEWNS},
		"unshare net":       {unix.SYS_UNSHARE, unix.CLONE_NEWNET},
		"clone user":        {unix.SYS_CLONE, unix.CLONE_NEWUSER | uintptr(unix.SIGCHLD)},
		"clone3":            {unix.SYS_CLONE3, mem, 64},
		"setns":             {unix.SYS_SETNS, 0, 0},
		"ptrace":            {unix.SYS_PTRACE, unix.PTRACE_ATTACH, 1},
		"process_vm_readv":  {unix.SYS_PROCESS_VM_READV, 1, mem, 1, mem, 1, 0},
		"pidfd_getfd":       {unix.SYS_PIDFD_GETFD, 0, 0, 0},
		"kcmp":              {unix.SYS_KCMP, 1, 1, 0, 0, 0},
		"bpf":               {unix.SYS_BPF, 0, mem, 64},
		"perf_event_open":   {unix.SYS_PERF_EVENT_OPEN, mem, 0, ^uintptr(0), ^uintptr(0), 0},
		"userfaultfd":       {unix.SYS_USERFAULTFD, 0},
		"io_uring_setup":    {unix.SYS_IO_URING_SETUP, 8, mem},
		"keyctl":            {unix.SYS_KEYCTL, unix.KEYCTL_GET_KEYRING_ID, 0xfffffffd, 0},
		"add_key":           {unix.SYS_ADD_KEY, str("user"), str("x"), mem, 1, 0xfffffffd},
		"request_key":       {unix.SYS_REQUEST_KEY, str("user"), str("x"), 0, 0},
		"open_by_handle_at": {unix.SYS_OPEN_BY_HANDLE_AT, ^uintptr(99), mem, 0},
		"init_module":       {unix.SYS_INIT_MODULE, mem, 16, str("")},
		"kexec_load":        {unix.SYS_KEXEC_LOAD, 0, 0, mem, 0},
		"reboot":            {unix.SYS_REBOOT, unix.LINUX_REBOOT_MAGIC1, unix.LINUX_REBOOT_MAGIC2, unix.LINUX_REBOOT_CMD_CAD_OFF},
		"swapon":            {unix.SYS_SWAPON, str("/tmp/x"), 0},
		"acct":              {unix.SYS_ACCT, 0},
		"quotactl":          {unix.SYS_QUOTACTL, 0, 0, 0, 0},
		"syslog":            {unix.SYS_SYSLOG, 3, mem, 4096},
		"sethostname":       {unix.SYS_SETHOSTNAME, str("x"), 1},
		"settimeofday":      {unix.SYS_SETTIMEOFDAY, mem, 0},
		"personality":       {unix.SYS_PERSONALITY, 0x0040000},
		"setuid":            {unix.SYS_SETUID, 0},
		"setgid":            {unix.SYS_SETGID, 0},
		"setgroups":         {unix.SYS_SETGROUPS, 1, mem},
		"mknod":             {unix.SYS_MKNODAT, ^uintptr(99), str("/tmp/null"), unix.S_IFCHR | 0o666, 0x103},
		"packet socket":     {unix.SYS_SOCKET, unix.AF_PACKET, unix.SOCK_RAW, 0},
		"raw socket":        {unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP},
		"vsock socket":      {unix.SYS_SOCKET, unix.AF_VSOCK, unix.SOCK_STREAM, 0},
		"netlink netfilter": {unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER},
		"tiocsti":           {unix.SYS_IOCTL, 0, unix.TIOCSTI | 1<<32, str("x")},
		"keep caps":         {unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1},
		"ambient caps":      {unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, 0},
		"unset nnp":         {unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 0},
		"limits of init":    {unix.SYS_PRLIMIT64, 1, unix.RLIMIT_NOFILE, mem, 0},
		"nice":              {unix.SYS_SETPRIORITY, 0, 0, ^uintptr(9)},
	}
	c, ok := calls[a[0]]
	if !ok {
		return "no such call", nil
	}
	var args [6]uintptr
	copy(args[:], c[1:])
	r, _, errno := syscall.RawSyscall6(c[0], args[0], args[1], args[2], args[3], args[4], args[5])
	runtime.KeepAlive(buf)
	if errno != 0 {
		return "", errno
	}
	if a[0] == "clone user" && r == 0 {
		os.Exit(0)
	}
	return fmt.Sprint("allowed: ", r), nil
}
