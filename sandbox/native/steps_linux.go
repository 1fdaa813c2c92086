package native

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"mayfly"
	"mayfly/sandbox"
)

// What an init executes in each step of a sandbox's life.

const (
	defaultTmp = 512 << 20
	// A file of a tmpfs costs about a kilobyte of kernel memory besides its content.
	bytesPerInode = 16 << 10
	minInodes     = 1024
)

func tmpOptions(bytes int64) string {
	return fmt.Sprintf("size=%d,nr_inodes=%d,mode=0755", bytes, max(bytes/bytesPerInode, minInodes))
}

// createProgram makes the namespaces and the root filesystem. It comes with descriptors of the v1 control groups' task
// files.
func (d *Driver) createProgram(entrances int, masks []string) *program {
	p := &program{}
	zero := p.str("0")
	for i := range entrances {
		// The one migration that needs no grace period is a thread's own.
		p.call("enter the control group", unix.SYS_WRITE, received(i).op(), zero, num(1))
	}
	p.call("setresgid", unix.SYS_SETRESGID, num(0), num(0), num(0))
	p.call("setgroups", unix.SYS_SETGROUPS, num(0), num(0))
	p.call("setresuid", unix.SYS_SETRESUID, num(0), num(0), num(0))
	p.call("setsid", unix.SYS_SETSID)
	p.call("new session keyring", unix.SYS_KEYCTL, num(unix.KEYCTL_JOIN_SESSION_KEYRING), num(0))
	p.allow(unix.ENOSYS)
	p.call("unshare mount, network, ipc, uts and cgroup namespaces", unix.SYS_UNSHARE,
		num(unix.CLONE_NEWNS|unix.CLONE_NEWNET|unix.CLONE_NEWIPC|unix.CLONE_NEWUTS|unix.CLONE_NEWCGROUP))
	p.call("umask", unix.SYS_UMASK, num(0))
	p.call("set the name", unix.SYS_PRCTL, num(unix.PR_SET_NAME), p.str("mayfly-init"))

	// One tmpfs holds /tmp and /dev/shm.
	root, scratch := templateDir, scratchDir
	p.mount("tmpfs", scratch, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, tmpOptions(defaultTmp))
	p.mkdir(scratch+"/tmp", 0o1777)
	p.mkdir(scratch+"/shm", 0o1777)
	p.mount(root, root, "", unix.MS_BIND|unix.MS_REC, "")
	p.mount(scratch+"/tmp", root+"/tmp", "", unix.MS_BIND, "")
	p.mount(scratch+"/shm", root+"/dev/shm", "", unix.MS_BIND, "")
	p.mount("proc", root+"/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	p.mount(root+"/proc/sys", root+"/proc/sys", "", unix.MS_BIND, "")
	p.mount("", root+"/proc/sys", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	for _, m := range masks {
		over := root + "/dev/null"
		if strings.HasSuffix(m, "/") {
			over = root + "/mnt" // empty and read-only
		}
		p.mount(over, root+"/proc/"+strings.TrimSuffix(m, "/"), "", unix.MS_BIND, "")
	}
	p.call("chdir "+root, unix.SYS_CHDIR, p.str(root))
	dot := p.str(".")
	p.call("pivot_root", unix.SYS_PIVOT_ROOT, dot, dot)
	p.call("detach the old root", unix.SYS_UMOUNT2, dot, num(unix.MNT_DETACH))
	p.call("chdir /", unix.SYS_CHDIR, p.str("/"))

	p.call("sethostname", unix.SYS_SETHOSTNAME, p.str(hostName), num(len(hostName)))
	p.call("socket", unix.SYS_SOCKET, num(unix.AF_INET), num(unix.SOCK_DGRAM|unix.SOCK_CLOEXEC), num(0))
	sock := p.result()
	ifreq := make([]byte, 40)
	copy(ifreq, "lo")
	binary.NativeEndian.PutUint16(ifreq[16:], unix.IFF_UP)
	p.call("bring lo up", unix.SYS_IOCTL, sock.op(), num(unix.SIOCSIFFLAGS), p.bytes(ifreq))
	p.call("close", unix.SYS_CLOSE, sock.op())

	for c := range d.lastCap + 1 {
		p.call("drop a bounding capability", unix.SYS_PRCTL, num(unix.PR_CAPBSET_DROP), num(c))
	}
	return p
}

func (p *program) mount(source, target, kind string, flags int, data string) {
	ptr := func(s string) operand {
		if s == "" {
			return num(0)
		}
		return p.str(s)
	}
	p.call("mount "+strings.TrimPrefix(target, templateDir), unix.SYS_MOUNT, ptr(source), p.str(target), ptr(kind), num(flags), ptr(data))
}

func (p *program) mkdir(path string, mode int) {
	p.call("mkdir "+path, unix.SYS_MKDIRAT, num(unix.AT_FDCWD), p.str(path), num(mode))
}

// attach moves the detached trees that come with the program to where they are shown.
func (p *program) attach(mounts []sandbox.Mount) error {
	empty := p.str("")
	for i, m := range mounts {
		if !slices.Contains(mountPoints, m.Target) {
			return mayfly.Errorf(mayfly.KindInvalid, "mount target %q: want one of %s", m.Target, strings.Join(mountPoints, ", "))
		}
		p.call("mount "+m.Source+" on "+m.Target, unix.SYS_MOVE_MOUNT, received(i).op(), empty,
			num(unix.AT_FDCWD), p.str(m.Target), num(unix.MOVE_MOUNT_F_EMPTY_PATH))
	}
	return nil
}

// Secure bits: root has no special powers, and that cannot be changed.
const secureBits = 1<<0 | 1<<1 | 1<<2 | 1<<3 | 1<<5 | 1<<6 | 1<<7 // NOROOT, NO_SETUID_FIXUP, KEEP_CAPS locked off, NO_CAP_AMBIENT_RAISE; each locked

// startProgram forks the function's process.
func (s *box) startProgram(in sandbox.Process) (*program, []int, error) {
	if len(in.Args) == 0 || !filepath.IsAbs(in.Args[0]) {
		return nil, nil, mayfly.Errorf(mayfly.KindInvalid, "sandbox process: Args[0] must be an absolute path")
	}
	for _, v := range slices.Concat(in.Args, in.Env, []string{in.Dir}) {
		if strings.ContainsRune(v, 0) {
			return nil, nil, mayfly.Errorf(mayfly.KindInvalid, "sandbox process: an argument or variable contains a zero byte")
		}
	}
	dir := in.Dir
	if dir == "" {
		dir = "/"
	}
	p := &program{}
	var files []int
	p.fork(func() {
		p.call("setsid", unix.SYS_SETSID)
		p.call("open /dev/null", unix.SYS_OPENAT, num(unix.AT_FDCWD), p.str("/dev/null"), num(unix.O_RDWR|unix.O_CLOEXEC), num(0))
		null := p.result()
		for i, f := range []*os.File{in.Stdin, in.Stdout, in.Stderr} {
			from := null
			if f != nil {
				from = received(len(files))
				files = append(files, int(f.Fd()))
			}
			p.call("redirect a standard stream", unix.SYS_DUP3, from.op(), num(i), num(0))
		}
		p.call("close_range", unix.SYS_CLOSE_RANGE, num(controlFD+1), num(0x7fffffff), num(0))
		p.call("unblock signals", unix.SYS_RT_SIGPROCMASK, num(unix.SIG_SETMASK), p.bytes(make([]byte, 8)), num(0), num(8))
		p.call("umask", unix.SYS_UMASK, num(0o022))
		open := s.d.maxOpen
		if n := uint64(s.openFiles); n > 0 && n < open {
			open = n
		}
		p.limit("open files", unix.RLIMIT_NOFILE, open, open)
		p.limit("core size", unix.RLIMIT_CORE, 0, 0)
		p.limit("locked memory", unix.RLIMIT_MEMLOCK, 64<<10, 64<<10)
		p.limit("message queues", unix.RLIMIT_MSGQUEUE, 0, 0)

		// The kernel picks the function when memory runs out, never the init that reports it.
		p.call("set dumpable", unix.SYS_PRCTL, num(unix.PR_SET_DUMPABLE), num(1))
		p.call("open oom_score_adj", unix.SYS_OPENAT, num(unix.AT_FDCWD), p.str("/proc/self/oom_score_adj"), num(unix.O_WRONLY|unix.O_CLOEXEC), num(0))
		adj := p.result()
		p.call("write oom_score_adj", unix.SYS_WRITE, adj.op(), p.str("1000"), num(4))
		p.call("close", unix.SYS_CLOSE, adj.op())

		p.call("set secure bits", unix.SYS_PRCTL, num(unix.PR_SET_SECUREBITS), num(secureBits))
		p.call("setgroups", unix.SYS_SETGROUPS, num(0), num(0))
		p.call("setresgid", unix.SYS_SETRESGID, num(functionGID), num(functionGID), num(functionGID))
		p.call("setresuid", unix.SYS_SETRESUID, num(functionUID), num(functionUID), num(functionUID))
		p.capset(0)
		p.call("chdir "+dir, unix.SYS_CHDIR, p.str(dir))
		p.call("set no_new_privs", unix.SYS_PRCTL, num(unix.PR_SET_NO_NEW_PRIVS), num(1), num(0), num(0), num(0))
		if s.d.filter != nil {
			prog := p.bytes(binary.NativeEndian.AppendUint64(nil, uint64(len(s.d.filter)/8)))
			at := p.bytes(make([]byte, 8))
			p.links = append(p.links, link{int(at.v), int(p.bytes(s.d.filter).v)})
			p.call("install the system call filter", unix.SYS_SECCOMP, num(unix.SECCOMP_SET_MODE_FILTER), num(0), prog)
		}
		path := p.str(in.Args[0])
		p.call("execute "+in.Args[0], unix.SYS_EXECVE, path, p.strs(in.Args), p.strs(in.Env))
	})
	return p, files, nil
}

// disarm leaves the init what it needs to open ports.
func (p *program) disarm() { p.capset(1 << unix.CAP_NET_BIND_SERVICE) }

func (p *program) limit(what string, resource int, soft, hard uint64) {
	b := binary.NativeEndian.AppendUint64(binary.NativeEndian.AppendUint64(nil, soft), hard)
	p.call("limit "+what, unix.SYS_PRLIMIT64, num(0), num(resource), p.bytes(b), num(0))
}

// capset leaves the calling process the permitted and effective capabilities of mask, all below 32.
func (p *program) capset(mask uint32) {
	head := binary.NativeEndian.AppendUint32(nil, unix.LINUX_CAPABILITY_VERSION_3)
	head = binary.NativeEndian.AppendUint32(head, 0)
	data := make([]byte, 24)
	binary.NativeEndian.PutUint32(data[0:], mask)
	binary.NativeEndian.PutUint32(data[4:], mask)
	p.call("set capabilities", unix.SYS_CAPSET, p.bytes(head), p.bytes(data))
}

// hardOpenFiles is the most open files that a process here can be given.
func hardOpenFiles() uint64 {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return 1024
	}
	return l.Max
}
