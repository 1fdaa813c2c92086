package egress

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// rtnl is a routing netlink socket that sends several requests in one system call. The netlink library waits for each
// answer, and an attachment has eight.
type rtnl struct {
	mu  sync.Mutex
	fd  int
	seq uint32
	buf []byte
}

// openRtnl opens a socket in the network namespace ns.
func openRtnl(ns *os.File) (*rtnl, error) {
	r := &rtnl{fd: -1}
	err := within(ns, func() error {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
		r.fd = fd
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("egress: netlink: %w", err)
	}
	// Answers repeat no request, and a kernel that never answers does not hang us.
	unix.SetsockoptInt(r.fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	unix.SetsockoptTimeval(r.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 30})
	if err := unix.Bind(r.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		unix.Close(r.fd)
		return nil, fmt.Errorf("egress: netlink: %w", err)
	}
	return r, nil
}

func (r *rtnl) close() { unix.Close(r.fd) }

// request is one message, what it is for, and the error that means there is nothing to be done.
type request struct {
	what string
	msg  *nl.NetlinkRequest
	gone unix.Errno

	reply func(body []byte) // called with what is asked for
}

// do sends the requests and waits for all answers. The kernel carries out every one, whatever became of those before.
func (r *rtnl) do(reqs ...request) error {
	if len(reqs) == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	first := r.seq + 1
	out := r.buf[:0]
	for _, q := range reqs {
		r.seq++
		q.msg.Seq = r.seq
		q.msg.Flags |= unix.NLM_F_REQUEST | unix.NLM_F_ACK
		out = append(out, q.msg.Serialize()...)
	}
	r.buf = out
	if err := unix.Sendto(r.fd, out, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("egress: netlink: %w", err)
	}
	var errs error
	in := make([]byte, 8192)
	for left := len(reqs); left > 0; {
		n, _, err := unix.Recvfrom(r.fd, in, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return errors.Join(errs, fmt.Errorf("egress: netlink: %w", err))
		}
		for b := in[:n]; len(b) >= unix.SizeofNlMsghdr; {
			size := int(binary.NativeEndian.Uint32(b))
			if size < unix.SizeofNlMsghdr || size > len(b) {
				return errors.New("egress: netlink: the kernel's answer is cut short")
			}
			kind, seq := binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint32(b[8:])
			if i := int(seq - first); kind == unix.NLMSG_ERROR && i >= 0 && i < len(reqs) && size >= unix.SizeofNlMsghdr+4 {
				left--
				errno := unix.Errno(-int32(binary.NativeEndian.Uint32(b[unix.SizeofNlMsghdr:])))
				if errno != 0 && errno != reqs[i].gone {
					errs = errors.Join(errs, fmt.Errorf("egress: %s: %w", reqs[i].what, errno))
				}
			}
			if i := int(seq - first); kind != unix.NLMSG_ERROR && i >= 0 && i < len(reqs) && reqs[i].reply != nil {
				reqs[i].reply(b[unix.SizeofNlMsghdr:size])
			}
			b = b[min((size+3)&^3, len(b)):]
		}
	}
	return errs
}

// doAll is do for any number of requests: their answers have to fit into the socket's buffer.
func (r *rtnl) doAll(reqs []request) error {
	var errs error
	for part := range slices.Chunk(reqs, 64) {
		errs = errors.Join(errs, r.do(part...))
	}
	return errs
}

// index is a link's number in the socket's namespace.
func (r *rtnl) index(name string) (int, error) {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return 0, fmt.Errorf("egress: link %s: %w", name, err)
	}
	if err := unix.IoctlIfreq(r.fd, unix.SIOCGIFINDEX, ifr); err != nil {
		return 0, fmt.Errorf("egress: link %s: %w", name, err)
	}
	return int(ifr.Uint32()), nil
}
