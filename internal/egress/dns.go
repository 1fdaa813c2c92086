package egress

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// Bounds of one sandbox's relay.
const (
	dnsOutstanding = 64              // queries being answered; more wait in the socket
	dnsConns       = 16              // TCP connections
	dnsPatience    = 2 * time.Second // for one answer of one upstream
	dnsRounds      = 2               // times each upstream is asked
	dnsIdle        = 10 * time.Second
	dnsHeader      = 12
)

// Resolvers returns the host's name servers as host:port, from /etc/resolv.conf; the local one when none is named there,
// as the C library does.
func Resolvers() []string {
	text, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		text = nil
	}
	return parseResolvers(string(text))
}

func parseResolvers(text string) []string {
	var servers []string
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) >= 2 && f[0] == "nameserver" {
			servers = append(servers, net.JoinHostPort(f[1], "53"))
		}
	}
	if len(servers) == 0 {
		servers = []string{"127.0.0.1:53"}
	}
	return servers
}

// relay asks upstreams on behalf of one sandbox.
type relay struct {
	ctx       context.Context
	upstreams []string // host:port
}

func newRelay(ctx context.Context, upstreams []string) *relay {
	r := &relay{ctx: ctx}
	for _, u := range upstreams {
		if _, _, err := net.SplitHostPort(u); err != nil {
			u = net.JoinHostPort(strings.Trim(u, "[]"), "53")
		}
		r.upstreams = append(r.upstreams, u)
	}
	return r
}

// ServeDNS answers the DNS queries that come to pc with what the upstreams (addresses or host:port) answer, until ctx
// ends or pc is closed, and then returns nil. Answers that are cut short are passed on as they are: the client asks again
// by TCP, see ServeDNSTCP. It is safe to expose to a hostile sandbox: work is bounded, and what is no query is dropped.
func ServeDNS(ctx context.Context, pc net.PacketConn, upstreams []string) error {
	ctx, stop := context.WithCancel(ctx)
	defer context.AfterFunc(ctx, func() { pc.SetReadDeadline(time.Unix(1, 0)) })()
	r := newRelay(ctx, upstreams)
	slots := make(chan struct{}, dnsOutstanding)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	buf := make([]byte, 4096) // more than any query takes
	for {
		n, from, err := pc.ReadFrom(buf)
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		if !isQuery(buf[:n]) {
			continue
		}
		query := bytes.Clone(buf[:n])
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			pc.WriteTo(r.answer("udp", query), from) // a sandbox that does not listen loses its answer
		})
	}
}

// ServeDNSTCP is ServeDNS for TCP. It does not close l.
func ServeDNSTCP(ctx context.Context, l net.Listener, upstreams []string) error {
	ctx, stop := context.WithCancel(ctx)
	if d, ok := l.(interface{ SetDeadline(time.Time) error }); ok {
		defer context.AfterFunc(ctx, func() { d.SetDeadline(time.Unix(1, 0)) })()
	}
	r := newRelay(ctx, upstreams)
	slots := make(chan struct{}, dnsConns)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	for {
		slots <- struct{}{}
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		wg.Go(func() {
			defer func() { <-slots }()
			defer c.Close()
			defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })()
			for ctx.Err() == nil {
				c.SetDeadline(time.Now().Add(dnsIdle))
				query, err := readTCP(c)
				if err != nil || !isQuery(query) {
					return
				}
				if err := writeTCP(c, r.answer("tcp", query)); err != nil {
					return
				}
			}
		})
	}
}

// answer asks the upstreams in turn. When none answers, the answer is SERVFAIL.
func (r *relay) answer(network string, query []byte) []byte {
	for range dnsRounds {
		for _, u := range r.upstreams {
			if a, err := r.ask(network, u, query); err == nil {
				return a
			} else if r.ctx.Err() != nil {
				break
			}
		}
	}
	return servfail(query)
}

// ask puts a query to one upstream, under an id and from a port of our own: those the sandbox chose are no secret.
func (r *relay) ask(network, upstream string, query []byte) ([]byte, error) {
	ctx, stop := context.WithTimeout(r.ctx, dnsPatience)
	defer stop()
	var d net.Dialer
	c, err := d.DialContext(ctx, network, upstream)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })()
	id := uint16(rand.Uint32())
	mine := bytes.Clone(query)
	binary.BigEndian.PutUint16(mine, id)
	var buf []byte
	if network == "tcp" {
		err = writeTCP(c, mine)
	} else {
		buf = make([]byte, 65535)
		_, err = c.Write(mine)
	}
	for err == nil {
		var a []byte
		if network == "tcp" {
			a, err = readTCP(c)
		} else {
			var n int
			n, err = c.Read(buf)
			a = buf[:n]
		}
		if err == nil && answers(a, mine) {
			copy(a, query[:2])
			return a, nil
		}
	}
	return nil, err
}

func readTCP(c io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	msg := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(c, msg)
	return msg, err
}

func writeTCP(c io.Writer, msg []byte) error {
	_, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...))
	return err
}

// isQuery tells whether a message is one question.
func isQuery(m []byte) bool {
	return len(m) >= dnsHeader && m[2]&0x80 == 0 && binary.BigEndian.Uint16(m[4:]) == 1 && question(m) != nil
}

// answers tells whether a message is the answer to a query.
func answers(a, query []byte) bool {
	if len(a) < dnsHeader || a[2]&0x80 == 0 || a[0] != query[0] || a[1] != query[1] {
		return false
	}
	// A server that refuses may leave the question out.
	return binary.BigEndian.Uint16(a[4:]) == 0 || bytes.EqualFold(question(a), question(query))
}

// question is the part of a message with the first question in it, nil when it is malformed.
func question(m []byte) []byte {
	for i := dnsHeader; i < len(m); {
		switch n := int(m[i]); {
		case n > 63: // a pointer, which has nothing to point at here
			return nil
		case n > 0:
			i += 1 + n
		case i+5 <= len(m): // the root, type and class
			return m[dnsHeader : i+5]
		default:
			return nil
		}
	}
	return nil
}

// servfail answers that no name server could be asked.
func servfail(query []byte) []byte {
	q := question(query)
	a := make([]byte, dnsHeader, dnsHeader+len(q))
	copy(a, query[:4])
	a[2] |= 0x80    // an answer
	a[2] &^= 0x06   // not authoritative, not cut short
	a[3] = 0x80 | 2 // recursion available; server failure
	a[5] = 1        // one question, which follows
	return append(a, q...)
}
