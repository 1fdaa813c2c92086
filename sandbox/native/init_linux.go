package native

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const initName = "mayfly-sandbox-spawner"

// IsInit tells whether this process was started to make sandboxes. Every program that makes a Driver asks first thing
// in main (tests: in TestMain) and then calls InitMain and nothing else.
func IsInit(args []string) bool { return len(args) > 0 && args[0] == initName }

// InitMain is the spawner's main. It does not return.
func InitMain() {
	runtime.LockOSThread()
	if err := spawnerMain(); err != nil {
		fmt.Fprintln(os.Stderr, "mayfly: sandbox spawner:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func spawnerMain() error {
	buf := make([]byte, 64<<10)
	n, err := readRetry(spawnerFD, buf)
	if err != nil || n == 0 {
		return err
	}
	var in setup
	if err := json.Unmarshal(buf[:n], &in); err != nil {
		return err
	}
	unix.CloseOnExec(spawnerFD)
	unix.Umask(0)
	out := hello{}
	region, err := unix.Mmap(-1, 0, regionSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err == nil {
		out.Masks, err = buildRoot(in.Stage)
	}
	if err != nil {
		out.Err = err.Error()
	} else {
		out.Base = uint64(uintptr(unsafe.Pointer(&region[0])))
	}
	b, err := json.Marshal(out)
	if err != nil {
		return err
	}
	if err := unix.Sendto(spawnerFD, b, unix.MSG_NOSIGNAL, nil); err != nil || out.Err != "" {
		return err
	}
	s := (*state)(unsafe.Pointer(&region[0]))
	s.prepare()
	signal.Ignore(syscall.SIGCHLD) // ended inits are reaped by the kernel
	// Whoever stops the server by signalling all its processes must not take away the sandboxes while it drains.
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
	debug.SetGCPercent(-1) // the loop below allocates next to nothing; a fork should copy little
	return spawnLoop(s)
}

func spawnLoop(s *state) error {
	var req spawnRequest
	in := unsafe.Slice((*byte)(unsafe.Pointer(&req)), unsafe.Sizeof(req))
	oob := make([]byte, unix.CmsgSpace(4*4))
	path := make([]byte, 0, 64)
	text := make([]byte, 0, 64)
	for {
		n, oobn, _, _, err := unix.Recvmsg(spawnerFD, in, oob, unix.MSG_CMSG_CLOEXEC)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return nil // the server is gone
		}
		fds := receivedFDs(oob[:oobn])
		if n != len(in) || len(fds) == 0 {
			return fmt.Errorf("request of %d bytes with %d descriptors", n, len(fds))
		}
		rep, pidFD := spawnOne(s, &req, fds, path, text)
		out := unsafe.Slice((*byte)(unsafe.Pointer(&rep)), unsafe.Sizeof(rep))
		var rights []byte
		if pidFD >= 0 {
			rights = unix.UnixRights(pidFD)
		}
		err = unix.Sendmsg(spawnerFD, out, rights, nil, unix.MSG_NOSIGNAL)
		if pidFD >= 0 {
			unix.Close(pidFD)
		}
		for _, fd := range fds {
			unix.Close(fd)
		}
		if err != nil {
			return nil
		}
	}
}

func receivedFDs(oob []byte) []int {
	if len(oob) < 20 {
		return nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(msgs) == 0 {
		return nil
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil {
		return nil
	}
	return fds
}

// cloneArgs is struct clone_args.
type cloneArgs struct {
	flags, pidFD, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize, cgroup uint64
}

func spawnOne(s *state, req *spawnRequest, fds []int, path, text []byte) (spawnReply, int) {
	pidFD := int32(-1)
	args := cloneArgs{
		flags:      unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_PIDFD,
		pidFD:      uint64(uintptr(unsafe.Pointer(&pidFD))),
		exitSignal: uint64(unix.SIGCHLD),
	}
	if req.hasGroup != 0 && len(fds) > 1 {
		args.flags |= unix.CLONE_INTO_CGROUP
		args.cgroup = uint64(fds[1])
	}
	pid, errno := fork(s, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args), uintptr(fds[0]))
	runtime.KeepAlive(&args)
	if errno != 0 {
		return spawnReply{errno: int32(errno), stage: stageClone}, -1
	}
	text = append(text[:0], "0 "...)
	text = strconv.AppendUint(text, uint64(req.uidBase), 10)
	text = append(text, ' ')
	text = strconv.AppendUint(text, uint64(req.uidCount), 10)
	for i, file := range [...]string{"/uid_map", "/gid_map"} {
		path = append(path[:0], "/proc/"...)
		path = strconv.AppendUint(path, uint64(pid), 10)
		path = append(path, file...)
		if err := writeOnce(string(path), text); err != nil {
			unix.PidfdSendSignal(int(pidFD), unix.SIGKILL, nil, 0)
			unix.Close(int(pidFD))
			errno, _ := err.(syscall.Errno)
			return spawnReply{errno: int32(errno), stage: uint32(stageUIDMap + i)}, -1
		}
	}
	return spawnReply{pid: int32(pid)}, int(pidFD)
}

func writeOnce(path string, b []byte) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	_, err = unix.Write(fd, b)
	unix.Close(fd)
	return err
}
