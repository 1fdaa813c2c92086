package native

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Listen opens a TCP listener on 127.0.0.1 inside. The init makes the socket, so that it belongs to the sandbox's
// network; the server gets the descriptor. Once the function runs, ports below 1024 need no more than before.
func (s *box) Listen(port int) (net.Listener, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.listen(port)
}

// listen and listenPacket are for a caller that holds mu.
func (s *box) listen(port int) (net.Listener, error) {
	f, err := s.socket(unix.SOCK_STREAM, port)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("sandbox %s: listen on %d: %w", s.id, port, err)
	}
	s.closers = append(s.closers, closeOnce(l))
	return l, nil
}

// ListenPacket opens a UDP socket on 127.0.0.1 inside.
func (s *box) ListenPacket(port int) (net.PacketConn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.listenPacket(port)
}

func (s *box) listenPacket(port int) (net.PacketConn, error) {
	f, err := s.socket(unix.SOCK_DGRAM, port)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c, err := net.FilePacketConn(f)
	if err != nil {
		return nil, fmt.Errorf("sandbox %s: listen on %d: %w", s.id, port, err)
	}
	s.closers = append(s.closers, closeOnce(c))
	return c, nil
}

// socket returns a bound, for streams listening socket of the sandbox's network. The caller holds mu.
func (s *box) socket(kind, port int) (*os.File, error) {
	if s.state == destroyed {
		return nil, s.expect(created, "listen in")
	}
	p := &program{}
	p.call("socket", unix.SYS_SOCKET, num(unix.AF_INET), num(kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK), num(0))
	sock := p.result()
	if kind == unix.SOCK_STREAM {
		one := p.bytes([]byte{1, 0, 0, 0})
		p.call("SO_REUSEADDR", unix.SYS_SETSOCKOPT, sock.op(), num(unix.SOL_SOCKET), num(unix.SO_REUSEADDR), one, num(4))
	}
	addr := make([]byte, 16)
	binary.NativeEndian.PutUint16(addr, unix.AF_INET)
	binary.BigEndian.PutUint16(addr[2:], uint16(port))
	copy(addr[4:], []byte{127, 0, 0, 1})
	p.call(fmt.Sprintf("bind to 127.0.0.1:%d", port), unix.SYS_BIND, sock.op(), p.bytes(addr), num(16))
	if kind == unix.SOCK_STREAM {
		p.call("listen", unix.SYS_LISTEN, sock.op(), num(128))
	}
	p.answer(sock)
	fd, err := s.init.call(context.Background(), p)
	if err != nil {
		return nil, fmt.Errorf("sandbox %s: listen: %w", s.id, err)
	}
	return os.NewFile(uintptr(fd), "listener"), nil
}

// closeOnce is for what its user may have closed already.
func closeOnce(c interface{ Close() error }) closerFunc {
	return func() error { c.Close(); return nil }
}

type closerFunc func() error

func (f closerFunc) Close() error { return f() }
