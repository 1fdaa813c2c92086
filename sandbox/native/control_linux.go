package native

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// control is the server's end of an init's socket.
type control struct {
	base    uintptr
	file    *os.File
	raw     syscall.RawConn
	onExit  func(status uint32)
	onGone  func()
	gone    chan struct{} // closed when the init has closed its end, or close was called
	ended   chan struct{} // closed after onGone
	answers chan answered

	mu     sync.Mutex // one program at a time
	sndbuf int
}

type answered struct {
	reply
	fd int // with replyDone; -1 for none
}

var errInitGone = errors.New("process 1 of the sandbox is gone")

// newControl takes over fd, which does not block, and reads it until the other end closes. onExit gets the wait status
// of the function's process; onGone is called last.
func newControl(fd int, base uintptr, onExit func(uint32), onGone func()) (*control, error) {
	c := &control{base: base, file: os.NewFile(uintptr(fd), "sandbox control"), onExit: onExit, onGone: onGone,
		gone: make(chan struct{}), ended: make(chan struct{}), answers: make(chan answered, 4)}
	raw, err := c.file.SyscallConn()
	if err != nil {
		c.file.Close()
		return nil, err
	}
	c.raw = raw
	go c.read()
	return c, nil
}

func (c *control) read() {
	var buf [16]byte
	var oob [24]byte
	defer func() {
		close(c.gone)
		c.onGone()
		close(c.ended)
	}()
	for {
		var n, oobn int
		var err error
		rerr := c.raw.Read(func(fd uintptr) bool {
			for {
				n, oobn, _, _, err = unix.Recvmsg(int(fd), buf[:], oob[:], unix.MSG_CMSG_CLOEXEC)
				if err != unix.EINTR {
					return err != unix.EAGAIN
				}
			}
		})
		if rerr != nil || err != nil || n < 12 {
			return
		}
		a := answered{fd: -1, reply: reply{
			kind: binary.NativeEndian.Uint32(buf[0:]),
			op:   binary.NativeEndian.Uint32(buf[4:]),
			num:  binary.NativeEndian.Uint32(buf[8:]),
		}}
		if oobn >= 20 {
			a.fd = int(int32(binary.NativeEndian.Uint32(oob[16:])))
		}
		if a.kind == replyExited {
			c.onExit(a.num)
			continue
		}
		c.answers <- a
	}
}

// call has the init execute a program and returns the descriptor that it sends back, -1 if none. When ctx ends first
// the socket is closed, which ends the init.
func (c *control) call(ctx context.Context, p *program, fds ...int) (int, error) {
	if err := ctx.Err(); err != nil {
		return -1, err
	}
	blob, err := p.assemble(c.base)
	if err != nil {
		return -1, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.send(blob, fds); err != nil {
		return -1, err
	}
	var failed error
	for {
		select {
		case a := <-c.answers:
			switch a.kind {
			case replyChild: // the answer to the program itself follows
				failed = fmt.Errorf("%s: %w", p.name(a.op), syscall.Errno(a.num))
			case replyFailed:
				return -1, fmt.Errorf("%s: %w", p.name(a.op), syscall.Errno(a.num))
			default:
				return a.fd, failed
			}
		case <-c.gone:
			return -1, errInitGone
		case <-ctx.Done():
			c.close()
			return -1, ctx.Err()
		}
	}
}

func (c *control) send(blob []byte, fds []int) error {
	// A message must fit the send buffer with the kernel's own overhead.
	if need := len(blob) + len(blob)/4 + 4096; need > 128<<10 && need > c.sndbuf {
		err := c.raw.Control(func(fd uintptr) {
			if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, need) == nil {
				c.sndbuf = need
			}
		})
		if err != nil {
			return errInitGone
		}
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	var err error
	werr := c.raw.Write(func(fd uintptr) bool {
		for {
			err = unix.Sendmsg(int(fd), blob, rights, nil, unix.MSG_NOSIGNAL)
			if err != unix.EINTR {
				return err != unix.EAGAIN
			}
		}
	})
	switch {
	case werr != nil, err == unix.EPIPE, err == unix.ECONNRESET:
		return errInitGone
	case err != nil:
		return fmt.Errorf("send to the init: %w", err)
	}
	return nil
}

// close hangs up, which ends the init and the reader (see ended).
func (c *control) close() { c.file.Close() }
