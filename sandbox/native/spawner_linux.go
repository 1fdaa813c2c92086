package native

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// spawner is the server's end of the spawner process.
type spawner struct {
	cmd  *exec.Cmd
	log  *slog.Logger
	base uintptr // address of the region in every init

	masks []string // paths below /proc that every sandbox hides
	done  chan struct{}

	mu  sync.Mutex // one request at a time
	fd  int        // -1 when closed
	buf [64]byte
	oob [64]byte
}

// spawnRequest asks for one init. Descriptors: its end of the control socket, and the v2 control group if hasGroup.
type spawnRequest struct {
	uidBase, uidCount uint32
	hasGroup          uint32
	_                 uint32
}

// spawnReply comes with a pidfd if errno is 0.
type spawnReply struct {
	pid   int32
	errno int32
	stage uint32
}

// The stages of a spawn, for errors.
const (
	stageClone = iota
	stageUIDMap
	stageGIDMap
)

var stageNames = []string{"clone with a user and a process namespace", "write uid_map", "write gid_map"}

// setup is the first message to the spawner, hello its answer.
type setup struct {
	Stage string // an empty folder to build the root filesystem on
}

type hello struct {
	Base  uint64
	Masks []string
	Err   string
}

func startSpawner(stage string, log *slog.Logger) (*spawner, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "spawner")
	defer theirs.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{initName}
	cmd.Env = []string{"GOMAXPROCS=1", "GOTRACEBACK=single"}
	cmd.Dir = "/"
	cmd.Stderr = os.Stderr // for a crash of the spawner itself; no sandbox has it
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS, Setsid: true}
	if err := cmd.Start(); err != nil {
		unix.Close(fds[0])
		return nil, fmt.Errorf("start the spawner in a mount namespace of its own: %w", err)
	}
	s := &spawner{cmd: cmd, log: log, fd: fds[0], done: make(chan struct{})}
	go func() {
		err := cmd.Wait()
		s.mu.Lock()
		if s.fd >= 0 {
			log.Error("the sandbox spawner ended; the next sandbox starts another", "error", err)
		}
		s.mu.Unlock()
		close(s.done)
	}()
	if err := s.handshake(setup{Stage: stage}); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *spawner) handshake(in setup) error {
	b, err := json.Marshal(in)
	if err != nil {
		return err
	}
	if err := unix.Sendto(s.fd, b, unix.MSG_NOSIGNAL, nil); err != nil {
		return fmt.Errorf("spawner: %w", err)
	}
	buf := make([]byte, 64<<10)
	n, err := readRetry(s.fd, buf)
	if err != nil {
		return fmt.Errorf("spawner: %w", err)
	}
	if n == 0 {
		return errors.New("the sandbox spawner ended at once; does main call native.InitMain when native.IsInit(os.Args)?")
	}
	var h hello
	if err := json.Unmarshal(buf[:n], &h); err != nil {
		return fmt.Errorf("spawner: %w", err)
	}
	if h.Err != "" {
		return errors.New(h.Err)
	}
	s.base, s.masks = uintptr(h.Base), h.Masks
	return nil
}

// spawn forks an init in new user and process namespaces whose ids map to the range at uidBase. The init holds the
// control socket and waits for its first program.
func (s *spawner) spawn(uidBase, uidCount uint32, control, group int) (pid, pidFD int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd < 0 {
		return 0, -1, errors.New("the sandbox spawner is closed")
	}
	req := spawnRequest{uidBase: uidBase, uidCount: uidCount}
	fds := []int{control}
	if group >= 0 {
		req.hasGroup = 1
		fds = append(fds, group)
	}
	msg := unsafe.Slice((*byte)(unsafe.Pointer(&req)), unsafe.Sizeof(req))
	if err := unix.Sendmsg(s.fd, msg, unix.UnixRights(fds...), nil, unix.MSG_NOSIGNAL); err != nil {
		return 0, -1, fmt.Errorf("spawner: %w", err)
	}
	var n, oobn int
	for {
		n, oobn, _, _, err = unix.Recvmsg(s.fd, s.buf[:], s.oob[:], unix.MSG_CMSG_CLOEXEC)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil || n < int(unsafe.Sizeof(spawnReply{})) {
		return 0, -1, fmt.Errorf("the sandbox spawner ended: %w", errors.Join(err, unix.EPIPE))
	}
	rep := spawnReply{
		pid:   int32(binary.NativeEndian.Uint32(s.buf[0:])),
		errno: int32(binary.NativeEndian.Uint32(s.buf[4:])),
		stage: binary.NativeEndian.Uint32(s.buf[8:]),
	}
	if rep.errno != 0 {
		return 0, -1, fmt.Errorf("%s: %w", stageNames[rep.stage], syscall.Errno(rep.errno))
	}
	if oobn < 20 {
		return 0, -1, errors.New("spawner: answer without a pidfd")
	}
	return int(rep.pid), int(int32(binary.NativeEndian.Uint32(s.oob[16:]))), nil
}

// close ends the spawner and waits for it. Inits live on until their own sockets close.
func (s *spawner) close() {
	s.mu.Lock()
	if s.fd >= 0 {
		unix.Close(s.fd)
		s.fd = -1
	}
	s.mu.Unlock()
	<-s.done
}

func readRetry(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Read(fd, b)
		if err != unix.EINTR {
			return n, err
		}
	}
}
