package native

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The region is memory that the spawner maps before it forks, so it has the same address in the init of every sandbox.
// Its first page is the agent's own state; programs are received behind it, with every pointer in them already absolute.
const (
	regionSize  = 4 << 20
	programAt   = 4096
	programMax  = regionSize - programAt
	maxFDs      = 16 // descriptors sent along with one program
	maxRegs     = 24 // register i holds the i-th received descriptor (from 1), then results of calls
	controlFD   = 3  // of an init: its socket to the server
	spawnerFD   = 3  // of the spawner: its socket to the server
	exitNoStart = 127
)

// A program is a header, its ops, and data. All of it is laid out by the server (see program).
type header struct {
	ops     uint32
	sendReg uint32 // register whose descriptor goes with the answer; 0 for none
}

type op struct {
	nr    uintptr // system call number, or one of the specials
	arg   [6]uintptr
	regs  uint8 // bit i: arg i names a register
	save  uint8 // register for the result; 0 for none
	okErr uint16
	_     uint32
}

// Specials, beyond any system call number.
const (
	opFork  = 1 << 20 // child executes the next arg[0] ops and must end in execve; the parent goes on behind them
	opStore = opFork + 1
)

// reply is what an init tells the server.
type reply struct {
	kind uint32
	op   uint32 // failed: index of the op
	num  uint32 // failed: errno; exited: wait status
}

const (
	replyDone   = 1 // the program ran to its end
	replyFailed = 2 // it stopped at op with num
	replyChild  = 3 // the forked child stopped before its execve; replyDone still follows
	replyExited = 4 // the function's process ended
)

// state is the agent's memory, at the start of the region.
type state struct {
	regs   [maxRegs]uintptr
	pid    uintptr // the function's process
	sigFD  uintptr
	out    reply
	_      uint32
	status uint64
	poll   [2]pollFD
	iov    [2]iovec
	in     msgHeader
	outMsg msgHeader
	act    [4]uint64 // struct sigaction, all zero: SIG_DFL
	mask   uint64
	sig    [128]byte
	ctl    [16 + 4*maxFDs + 8]byte
	outCtl [24]byte
}

type pollFD struct {
	fd              int32
	events, revents int16
}

type iovec struct {
	base uintptr
	len  uintptr
}

// msgHeader is struct msghdr of 64-bit Linux, with addresses as numbers: the agent must not write Go pointers.
type msgHeader struct {
	name       uintptr
	nameLen    uint32
	_          uint32
	iov        uintptr
	iovLen     uintptr
	control    uintptr
	controlLen uintptr
	flags      int32
	_          int32
}

// prepare fills the parts of the state that hold addresses. It runs in the spawner, before any fork.
func (s *state) prepare() {
	base := uintptr(unsafe.Pointer(s))
	s.iov[0] = iovec{base + programAt, programMax}
	s.iov[1] = iovec{uintptr(unsafe.Pointer(&s.out)), unsafe.Sizeof(s.out)}
	s.in = msgHeader{iov: uintptr(unsafe.Pointer(&s.iov[0])), iovLen: 1, control: uintptr(unsafe.Pointer(&s.ctl[0]))}
	s.outMsg = msgHeader{iov: uintptr(unsafe.Pointer(&s.iov[1])), iovLen: 1}
	s.poll[0] = pollFD{fd: controlFD, events: unix.POLLIN}
	s.poll[1] = pollFD{events: unix.POLLIN}
	*(*uint64)(unsafe.Pointer(&s.outCtl[0])) = 20 // cmsg_len
	*(*uint32)(unsafe.Pointer(&s.outCtl[8])) = unix.SOL_SOCKET
	*(*uint32)(unsafe.Pointer(&s.outCtl[12])) = unix.SCM_RIGHTS
}

// The functions below run in a fork of a multi-threaded Go process: there is one thread, no scheduler and no garbage
// collector. They must not grow the stack, allocate, write a Go pointer or be preempted: nosplit, only numbers, raw
// system calls. All signals stay blocked for good.

//go:nosplit
//go:norace
func sys(nr, a, b, c, d, e, f uintptr) (uintptr, uintptr) {
	r, _, errno := syscall.RawSyscall6(nr, a, b, c, d, e, f)
	return r, uintptr(errno)
}

// fork clones the calling process by clone3 with the arguments at args and turns the child into an agent. In the parent
// it returns the child's id.
//
//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func fork(s *state, args, argsLen, ctl uintptr) (pid, errno uintptr) {
	all := ^uint64(0)
	_, errno = sys(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&s.mask)), 8, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	pid, errno = sys(unix.SYS_CLONE3, args, argsLen, 0, 0, 0, 0)
	if errno == 0 && pid == 0 {
		agent(s, ctl)
	}
	sys(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&s.mask)), 0, 8, 0, 0)
	return pid, errno
}

// agent is the life of process 1 of a sandbox.
//
//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func agent(s *state, ctl uintptr) {
	// Nothing of the spawner's descriptors stays but the socket, at 3, and the null device at 0 to 2.
	if ctl != controlFD {
		if _, e := sys(unix.SYS_DUP3, ctl, controlFD, unix.O_CLOEXEC, 0, 0, 0); e != 0 {
			quit()
		}
	}
	sys(unix.SYS_DUP3, 0, 1, 0, 0, 0, 0)
	sys(unix.SYS_DUP3, 0, 2, 0, 0, 0, 0)
	if _, e := sys(unix.SYS_CLOSE_RANGE, controlFD+1, ^uintptr(0)&0xffffffff, 0, 0, 0, 0); e != 0 {
		quit()
	}
	for i := uintptr(1); i <= 64; i++ { // the Go runtime's handlers; fails for SIGKILL and SIGSTOP, which have none
		sys(unix.SYS_RT_SIGACTION, i, uintptr(unsafe.Pointer(&s.act)), 0, 8, 0, 0)
	}
	s.mask = 1 << (unix.SIGCHLD - 1)
	fd, e := sys(unix.SYS_SIGNALFD4, ^uintptr(0), uintptr(unsafe.Pointer(&s.mask)), 8, unix.SFD_CLOEXEC|unix.SFD_NONBLOCK, 0, 0)
	if e != 0 {
		quit()
	}
	s.sigFD = fd
	s.poll[1].fd = int32(fd)
	for {
		s.poll[0].revents, s.poll[1].revents = 0, 0
		sys(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&s.poll)), 2, 0, 0, 0, 0)
		if s.poll[1].revents != 0 {
			reap(s)
		}
		if s.poll[0].revents == 0 {
			continue
		}
		s.in.controlLen = unsafe.Sizeof(s.ctl)
		n, e := sys(unix.SYS_RECVMSG, controlFD, uintptr(unsafe.Pointer(&s.in)), unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT, 0, 0, 0)
		if e == uintptr(unix.EAGAIN) || e == uintptr(unix.EINTR) {
			continue
		}
		if e != 0 || n == 0 {
			quit() // the server is gone
		}
		serve(s)
	}
}

// serve runs the program just received and answers.
//
//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func serve(s *state) {
	n := uintptr(0)
	if s.in.controlLen >= 20 {
		n = (*(*uintptr)(unsafe.Pointer(&s.ctl)) - 16) / 4
	}
	for i := uintptr(0); i < n && i < maxFDs; i++ {
		fd := *(*int32)(unsafe.Add(unsafe.Pointer(&s.ctl), 16+4*i))
		*reg(s, i+1) = uintptr(fd)
	}
	head := (*header)(unsafe.Add(unsafe.Pointer(s), programAt))
	send := uintptr(head.sendReg)
	run(s, uintptr(head.ops))
	s.outMsg.control, s.outMsg.controlLen = 0, 0
	if send != 0 && s.out.kind == replyDone {
		*(*int32)(unsafe.Pointer(&s.outCtl[16])) = int32(*reg(s, send))
		s.outMsg.control, s.outMsg.controlLen = uintptr(unsafe.Pointer(&s.outCtl)), unsafe.Sizeof(s.outCtl)
	}
	answer(s)
	s.outMsg.control, s.outMsg.controlLen = 0, 0
	if send != 0 && s.out.kind == replyDone {
		sys(unix.SYS_CLOSE, *reg(s, send), 0, 0, 0, 0, 0)
	}
	for i := uintptr(1); i <= n && i <= maxFDs; i++ {
		sys(unix.SYS_CLOSE, *reg(s, i), 0, 0, 0, 0, 0)
	}
}

// run executes n ops and leaves the outcome in s.out.
//
//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func run(s *state, n uintptr) {
	first := unsafe.Add(unsafe.Pointer(s), programAt+unsafe.Sizeof(header{}))
	childEnd := uintptr(0)
	for i := uintptr(0); i < n; i++ {
		if childEnd != 0 && i == childEnd {
			sys(unix.SYS_EXIT_GROUP, exitNoStart, 0, 0, 0, 0, 0)
		}
		o := (*op)(unsafe.Add(first, i*unsafe.Sizeof(op{})))
		r, e := uintptr(0), uintptr(0)
		switch o.nr {
		case opFork:
			// Vfork semantics without shared memory: the parent goes on once the child has executed or ended, so a
			// failure in the child is reported before the parent's own answer.
			r, e = sys(unix.SYS_CLONE, unix.CLONE_VFORK|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
			if e == 0 && r == 0 {
				childEnd = i + 1 + o.arg[0]
			} else if e == 0 {
				s.pid = r
				i += o.arg[0]
			}
		case opStore:
			*(*uint32)(unsafe.Add(unsafe.Pointer(s), o.arg[0])) = uint32(*reg(s, o.arg[1]))
		default:
			r, e = sys(o.nr, arg(s, o, 0), arg(s, o, 1), arg(s, o, 2), arg(s, o, 3), arg(s, o, 4), arg(s, o, 5))
		}
		if e != 0 && e != uintptr(o.okErr) {
			s.out.kind, s.out.op, s.out.num = replyFailed, uint32(i), uint32(e)
			if childEnd != 0 {
				s.out.kind = replyChild
				answer(s)
				sys(unix.SYS_EXIT_GROUP, exitNoStart, 0, 0, 0, 0, 0)
			}
			return
		}
		if o.save != 0 {
			*reg(s, uintptr(o.save)) = r
		}
	}
	s.out.kind, s.out.op, s.out.num = replyDone, 0, 0
}

// reap collects ended children and reports the function's own.
//
//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func reap(s *state) {
	sys(unix.SYS_READ, s.sigFD, uintptr(unsafe.Pointer(&s.sig)), unsafe.Sizeof(s.sig), 0, 0, 0)
	for {
		s.status = 0
		pid, e := sys(unix.SYS_WAIT4, ^uintptr(0), uintptr(unsafe.Pointer(&s.status)), unix.WNOHANG|unix.WALL, 0, 0, 0)
		if e != 0 || pid == 0 {
			return
		}
		if pid == s.pid {
			s.out.kind, s.out.op, s.out.num = replyExited, 0, uint32(s.status)
			answer(s)
		}
	}
}

//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func answer(s *state) {
	if _, e := sys(unix.SYS_SENDMSG, controlFD, uintptr(unsafe.Pointer(&s.outMsg)), unix.MSG_NOSIGNAL, 0, 0, 0); e != 0 {
		quit() // the server is gone
	}
}

//go:nosplit
//go:norace
//go:nocheckptr
func reg(s *state, i uintptr) *uintptr {
	return (*uintptr)(unsafe.Add(unsafe.Pointer(&s.regs), i*8))
}

//go:nosplit
//go:norace
//go:nocheckptr
func arg(s *state, o *op, i uintptr) uintptr {
	v := *(*uintptr)(unsafe.Add(unsafe.Pointer(&o.arg), i*8))
	if o.regs&(1<<i) != 0 {
		return *reg(s, v)
	}
	return v
}

//go:nosplit
//go:norace
func quit() {
	sys(unix.SYS_EXIT_GROUP, 0, 0, 0, 0, 0, 0)
}
