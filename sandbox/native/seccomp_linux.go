package native

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// The filter is an allowlist: what a container engine's default profile allows a process without capabilities, less what
// no function needs. A call that is known and refused fails with EPERM; one that nobody here has heard of fails with
// ENOSYS, so that libraries fall back to what they used before it existed.

// allowedCalls may be made with any arguments. Names of both architectures are mixed.
const allowedCalls = `
accept accept4 access alarm arch_prctl bind brk cachestat capget capset chdir chmod chown clock_getres clock_gettime
clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl
epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64
fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fork
fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue futex_wait futex_waitv futex_wake futimesat
get_robust_list getcpu getcwd getdents getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid
getpgrp getpid getppid getpriority getrandom getresgid getresuid getrlimit getrusage getsid getsockname getsockopt
gettid gettimeofday getuid getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy
io_getevents io_pgetevents io_setup io_submit ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset
landlock_restrict_self lchown lgetxattr link linkat listen listxattr llistxattr lremovexattr lseek lsetxattr lstat
madvise membarrier memfd_create mincore mkdir mkdirat mlock mlock2 mlockall mmap mprotect mq_getsetattr mq_notify
mq_open mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap
nanosleep newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free
pkey_mprotect poll ppoll prctl pread64 preadv preadv2 prlimit64 pselect6 pwrite64 pwritev pwritev2 read readahead
readlink readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages removexattr rename renameat renameat2
restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity
sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam
sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop sendfile sendmmsg sendmsg sendto
set_robust_list set_tid_address setfsgid setfsuid setgid setgroups setitimer setpgid setpriority setregid setresgid
setresuid setreuid setrlimit setsid setsockopt setuid setxattr shmat shmctl shmdt shmget shutdown sigaltstack signalfd
signalfd4 socketpair splice stat statfs statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time
timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime
times tkill truncate umask uname unlink unlinkat utime utimensat utimes vfork vmsplice wait4 waitid write writev`

// refusedCalls fail with EPERM. They would without being named here too, as ENOSYS: the list says what the filter is
// for, and gives those who meet it the truer error.
const refusedCalls = `
_sysctl acct add_key adjtimex bpf chroot clock_adjtime clock_settime create_module delete_module fanotify_init
fanotify_mark finit_module fsconfig fsmount fsopen fspick get_kernel_syms get_mempolicy init_module ioperm iopl kcmp
kexec_file_load kexec_load keyctl lookup_dcookie mbind memfd_secret migrate_pages mknod mknodat modify_ldt mount
mount_setattr move_mount move_pages name_to_handle_at nfsservctl open_by_handle_at open_tree perf_event_open
pidfd_getfd pivot_root process_madvise process_mrelease process_vm_readv process_vm_writev ptrace query_module quotactl
quotactl_fd reboot request_key set_mempolicy set_mempolicy_home_node setdomainname sethostname setns settimeofday
swapoff swapon sysfs syslog umount2 unshare uselib userfaultfd ustat vhangup`

// absentCalls fail with ENOSYS, which their callers take as "old kernel" and go without: clone3 because its flags are
// out of a filter's sight, io_uring because it makes system calls that no filter sees.
const absentCalls = `clone3 io_uring_setup io_uring_enter io_uring_register`

// namespaceFlags are the clone flags that make namespaces.
const namespaceFlags = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER |
	unix.CLONE_NEWPID | unix.CLONE_NEWNET

// What a filter returns.
const (
	allow = unix.SECCOMP_RET_ALLOW
	deny  = unix.SECCOMP_RET_ERRNO // with an errno added
)

// Offsets in struct seccomp_data. Arguments are 64 bits wide; the kernel itself looks at the lower half of those below,
// and so must the filter.
const (
	callOffset = 0
	archOffset = 4
)

func argOffset(i int) uint32 {
	at := uint32(16 + 8*i)
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		at += 4
	}
	return at
}

// A span is a run of call numbers with the same answer.
type span struct {
	from uint32
	code []bpf.Instruction
}

// seccompFilter assembles the filter for this architecture, in the form the kernel reads.
//
// The filter looks a call up by bisection, not in a list: the kernel runs it once for each call number when it is
// installed, at the start of every function, and compiles it each time. go-seccomp-bpf's own assembler makes lists, and
// (as of 1.6) compares the next numbers with an argument once a condition has failed, so only its tables are used.
func seccompFilter() ([]byte, error) {
	info, err := arch.GetInfo("")
	if err != nil {
		return nil, fmt.Errorf("seccomp: %w", err)
	}
	raw, err := bpf.Assemble(filterCode(info))
	if err != nil {
		return nil, fmt.Errorf("seccomp: %w", err)
	}
	out := make([]byte, 0, 8*len(raw))
	for _, r := range raw {
		out = binary.NativeEndian.AppendUint16(out, r.Op)
		out = append(out, r.Jt, r.Jf)
		out = binary.NativeEndian.AppendUint32(out, r.K)
	}
	return out, nil
}

func filterCode(info *arch.Info) []bpf.Instruction {
	unknown := ret(deny | uint32(unix.ENOSYS))
	code := []bpf.Instruction{
		bpf.LoadAbsolute{Off: archOffset, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(info.ID), SkipTrue: 1},
		unknown[0], // 32-bit programs
		bpf.LoadAbsolute{Off: callOffset, Size: 4},
	}
	answers := map[string][]bpf.Instruction{}
	for list, answer := range map[string][]bpf.Instruction{
		allowedCalls: ret(allow), refusedCalls: ret(deny | uint32(unix.EPERM)), absentCalls: unknown,
	} {
		for _, name := range strings.Fields(list) {
			answers[name] = answer
		}
	}
	for name, answer := range conditionalCalls() {
		answers[name] = answer
	}
	byNumber := map[uint32][]bpf.Instruction{}
	last := uint32(0)
	for name, answer := range answers {
		if n, ok := info.SyscallNames[name]; ok {
			byNumber[uint32(n)] = answer
			last = max(last, uint32(n))
		}
	}
	var spans []span
	for n := range last + 2 { // one beyond the last: x32 calls and those yet to come
		answer, ok := byNumber[n]
		if !ok {
			answer = unknown
		}
		if len(spans) == 0 || !slices.Equal(spans[len(spans)-1].code, answer) {
			spans = append(spans, span{n, answer})
		}
	}
	return append(code, bisect(spans)...)
}

// conditionalCalls are allowed with some arguments only.
func conditionalCalls() map[string][]bpf.Instruction {
	load := func(arg int) bpf.Instruction { return bpf.LoadAbsolute{Off: argOffset(arg), Size: 4} }
	// oneOf goes on with yes when the value is one of the list, with no when it is not.
	oneOf := func(list []uint32, yes, no []bpf.Instruction) []bpf.Instruction {
		var code []bpf.Instruction
		for i, v := range list {
			code = append(code, bpf.JumpIf{Cond: bpf.JumpEqual, Val: v, SkipTrue: uint8(len(list) - 1 - i + len(no))})
		}
		return slices.Concat(code, no, yes)
	}
	eperm, family := ret(deny|uint32(unix.EPERM)), ret(deny|uint32(unix.EAFNOSUPPORT))
	yes := ret(allow)
	route := slices.Concat([]bpf.Instruction{load(2)}, oneOf([]uint32{unix.NETLINK_ROUTE}, yes, family)) // for getifaddrs
	return map[string][]bpf.Instruction{
		"clone": slices.Concat([]bpf.Instruction{load(0), bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: namespaceFlags, SkipTrue: 1}}, yes, eperm),
		// A terminal's input must not be written to.
		"ioctl": slices.Concat([]bpf.Instruction{load(1)}, oneOf([]uint32{unix.TIOCSTI, unix.TIOCLINUX}, eperm, yes)),
		// What container engines allow: Linux, with 32-bit addresses in uname, and the query.
		"personality": slices.Concat([]bpf.Instruction{load(0)}, oneOf([]uint32{0, 0x0008, 0x20000, 0x20008, 0xffffffff}, yes, eperm)),
		"socket": slices.Concat([]bpf.Instruction{load(0)}, oneOf([]uint32{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6}, yes,
			oneOf([]uint32{unix.AF_NETLINK}, route, family))),
	}
}

func ret(v uint32) []bpf.Instruction { return []bpf.Instruction{bpf.RetConstant{Val: v}} }

// bisect finds the span of the call number in the accumulator and goes on with its code.
func bisect(spans []span) []bpf.Instruction {
	if len(spans) == 1 {
		return spans[0].code
	}
	mid := len(spans) / 2
	below, above := bisect(spans[:mid]), bisect(spans[mid:])
	jump := []bpf.Instruction{bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: spans[mid].from, SkipTrue: uint8(len(below))}}
	if len(below) > 255 {
		jump = []bpf.Instruction{bpf.JumpIf{Cond: bpf.JumpLessThan, Val: spans[mid].from, SkipTrue: 1}, bpf.Jump{Skip: uint32(len(below))}}
	}
	return slices.Concat(jump, below, above)
}
