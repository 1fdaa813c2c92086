package egress

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// world is a little internet of network namespaces, so that no rule, link or address touches this machine's own:
//
//	sandboxes ── host (5.5.5.1, 10.7.0.1) ── internet (5.5.5.2)
//	                                          8.8.8.8  1.1.1.1  public
//	                                          10.9.9.9 192.168.5.5  private
//	                                          169.254.169.254       link-local
//
// The internet knows no way back to the pool: only masqueraded packets are answered.
type world struct {
	t              testing.TB
	host, internet *os.File
	seen           *recorder // by the internet
	seenHost       *recorder // by the host
	servers        *[]server
}

type server struct {
	ns   *os.File
	addr string
}

const port = "7777"

func newWorld(t testing.TB) *world {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs the ip command (iproute2) to set up namespaces")
	}
	w := &world{t: t, host: newNS(t), internet: newNS(t), servers: new([]server)}
	for _, ns := range []*os.File{w.host, w.internet} {
		w.run(ns, "sh", "-c", "! [ -d /proc/sys/net/ipv6 ] || echo 1 | tee /proc/sys/net/ipv6/conf/all/disable_ipv6 /proc/sys/net/ipv6/conf/default/disable_ipv6")
	}
	w.run(w.host, "ip", "link", "set", "lo", "up")
	w.run(w.internet, "ip", "link", "set", "lo", "up")
	w.run(w.host, "ip", "link", "add", "up0", "type", "veth", "peer", "name", "net0", "netns", "/proc/self/fd/3")
	w.run(w.host, "ip", "addr", "add", "5.5.5.1/24", "dev", "up0")
	w.run(w.host, "ip", "addr", "add", "10.7.0.1/32", "dev", "lo")
	w.run(w.host, "ip", "link", "set", "up0", "up")
	w.run(w.internet, "ip", "addr", "add", "5.5.5.2/24", "dev", "net0")
	w.run(w.internet, "ip", "link", "set", "net0", "up")
	w.awaitUp(w.host, "up0")
	w.awaitUp(w.internet, "net0")
	w.run(w.host, "ip", "route", "add", "default", "via", "5.5.5.2")
	out := []string{"8.8.8.8", "1.1.1.1", "10.9.9.9", "192.168.5.5", "169.254.169.254"}
	for _, a := range out {
		w.run(w.internet, "ip", "addr", "add", a+"/32", "dev", "lo")
	}
	w.seen = w.serve(w.internet, append(out, "5.5.5.2")...)
	w.seenHost = w.serve(w.host, "5.5.5.1", "10.7.0.1")
	return w
}

// awaitUp waits until a link takes packets.
func (w *world) awaitUp(ns *os.File, link string) {
	w.t.Helper()
	r, err := openRtnl(ns)
	if err != nil {
		w.t.Fatal(err)
	}
	defer r.close()
	index, err := r.index(link)
	if err != nil {
		w.t.Fatal(err)
	}
	for up := false; !up; {
		if err := r.do(operational(index, &up)); err != nil {
			w.t.Fatal(err)
		}
	}
}

// newNS makes a network namespace that lives until the test ends.
func newNS(t testing.TB) *os.File {
	t.Helper()
	var ns *os.File
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			ns, err = os.Open("/proc/thread-self/ns/net")
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return ns
}

// run runs a command in a namespace; its descriptor 3 is the internet's.
func (w *world) run(ns *os.File, args ...string) string {
	w.t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = &out, &out, []*os.File{w.internet}
	if err := within(ns, cmd.Start); err != nil {
		w.t.Fatalf("%v: %v", args, err)
	}
	if err := cmd.Wait(); err != nil {
		w.t.Fatalf("%v: %v\n%s", args, err, out.String())
	}
	return out.String()
}

// recorder remembers the datagrams a server has seen.
type recorder struct {
	mu   sync.Mutex
	from map[string]string
}

func (r *recorder) get(payload string) (from string, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	from, ok = r.from[payload]
	return from, ok
}

// serve answers each datagram and each connection to the addresses, in a namespace, with where it came from.
func (w *world) serve(ns *os.File, addrs ...string) *recorder {
	r := &recorder{from: make(map[string]string)}
	for _, a := range addrs {
		w.serveAt(ns, a, r)
	}
	return r
}

// serveAt serves one address: a server on all of them would answer datagrams from another one than was asked.
func (w *world) serveAt(ns *os.File, addr string, r *recorder) {
	var pc net.PacketConn
	var l net.Listener
	err := within(ns, func() (err error) {
		if pc, err = net.ListenPacket("udp4", addr+":"+port); err == nil {
			l, err = net.Listen("tcp4", addr+":"+port)
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	*w.servers = append(*w.servers, server{ns, addr})
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			host := from.(*net.UDPAddr).IP.String()
			r.mu.Lock()
			r.from[string(buf[:n])] = host
			r.mu.Unlock()
			pc.WriteTo([]byte(host), from)
		}
	})
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, c.RemoteAddr().(*net.TCPAddr).IP.String())
			c.Close()
		}
	})
	w.t.Cleanup(func() { pc.Close(); l.Close(); wg.Wait() })
}

// manager makes a Manager for which the host is the world's, and checks in the end that nothing of it is left there.
func (w *world) manager(o Options) *Manager {
	w.t.Helper()
	o.Name, o.NetNS = testName(), w.host
	if testing.Verbose() && o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(w.t.Output(), nil))
	}
	m, err := New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := m.Close(); err != nil {
			w.t.Errorf("Close: %v", err)
		}
		if s := w.state(); strings.Contains(s, o.Name) {
			w.t.Errorf("left behind:\n%s", s)
		}
	})
	return m
}

func testName() string {
	var b [3]byte
	rand.Read(b[:])
	return "mf" + hex.EncodeToString(b[:])
}

// state is everything a Manager could leave behind in the host.
func (w *world) state() string {
	s := w.run(w.host, "ip", "-o", "link") + w.run(w.host, "ip", "-4", "-o", "addr") +
		w.run(w.host, "ip", "-4", "route", "show", "table", "all") +
		w.run(w.host, "ip", "neigh", "show", "nud", "permanent")
	if _, err := exec.LookPath("nft"); err == nil {
		s += w.run(w.host, "nft", "list", "ruleset")
	}
	return operState.ReplaceAllString(s, "") // follows by itself
}

var operState = regexp.MustCompile(`NO-CARRIER,|,LOWER_UP|,M-DOWN| state [A-Z]+`)

// sandbox attaches a new namespace.
func (w *world) sandbox(m *Manager, p Policy) (*os.File, *Lease) {
	w.t.Helper()
	ns := newNS(w.t)
	l, err := m.Attach(w.t.Context(), "test", ns, p)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := l.Close(); err != nil {
			w.t.Errorf("Close: %v", err)
		}
	})
	return ns, l
}

// ask connects by TCP from a namespace and returns whom the server took us for.
func ask(ns *os.File, addr string, patience time.Duration) (string, error) {
	var answer []byte
	err := within(ns, func() error {
		c, err := net.DialTimeout("tcp4", net.JoinHostPort(addr, port), patience)
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		answer, err = io.ReadAll(c)
		return err
	})
	return string(answer), err
}

// send sends a datagram; from may be empty. An error is a way of not getting there.
func send(ns *os.File, from, to, payload string) (net.Conn, error) {
	var c net.Conn
	err := within(ns, func() (err error) {
		d := net.Dialer{}
		if from != "" {
			d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 0))
		}
		if c, err = d.Dial("udp4", net.JoinHostPort(to, port)); err == nil {
			_, err = io.WriteString(c, payload)
		}
		return err
	})
	return c, err
}

// arrives tells whether a datagram gets from a sandbox to an address. It waits for no time-out: the way is a queue, so a
// datagram to an address that is reached, sent afterwards, tells when the first one has been where it was going.
func (w *world) arrives(ns *os.File, from, to, reached string) bool {
	w.t.Helper()
	payload := fmt.Sprintf("%s>%s %s", from, to, testName())
	if c, err := send(ns, from, to, payload); err == nil {
		defer c.Close()
	} else if c != nil {
		c.Close()
	}
	if got := w.answered(ns, reached, "fence "+payload); got != "5.5.5.1" && !strings.HasPrefix(reached, "10.7.") {
		w.t.Errorf("%s sees the sandbox as %s, want the host's address", reached, got)
	}
	w.settle()
	_, a := w.seen.get(payload)
	_, b := w.seenHost.get(payload)
	return a || b
}

// answered sends a datagram and returns the answer.
func (w *world) answered(ns *os.File, to, payload string) string {
	w.t.Helper()
	c, err := send(ns, "", to, payload)
	if err != nil {
		w.t.Fatalf("send to %s: %v", to, err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	answer := make([]byte, 100)
	n, err := c.Read(answer)
	if err != nil {
		w.t.Fatalf("%s does not answer: %v", to, err)
	}
	return string(answer[:n])
}

// settle returns once every server has read what had come to it.
func (w *world) settle() {
	w.t.Helper()
	for _, s := range *w.servers {
		w.answered(s.ns, s.addr, "settle")
	}
}
