package egress

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"mayfly"
)

// errTaken says that somebody else on the machine uses an address of the pool, such as another Mayfly.
var errTaken = errors.New("egress: address in use")

// Lease is one sandbox's way out. It is safe for concurrent use.
type Lease struct {
	m      *Manager
	id     string
	policy Policy
	addr   netip.Addr
	link   string

	mu      sync.Mutex // held while connecting and while closing
	index   int        // of the host's end; 0 while there is none
	closing sync.Once
	closed  bool
	err     error // Close's
}

// Addr is the sandbox's address, which only the host ever sees.
func (l *Lease) Addr() netip.Addr { return l.addr }

// Link is the name of the host's end of the pair.
func (l *Lease) Link() string { return l.link }

func (l *Lease) member() member { return member{l.link, l.addr, l.policy} }

// connect makes the pair and sets both ends up.
func (l *Lease) connect(ctx context.Context, ns *os.File) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return mayfly.Errorf(mayfly.KindUnavailable, "egress: shutting down")
	}
	in, err := openRtnl(ns)
	if err != nil {
		return err
	}
	defer in.close()
	if err := l.m.host.do(newPair(l.link, l.addr, l.m.mtu, int(ns.Fd()))); err != nil {
		return err
	}
	if l.index, err = l.m.host.index(l.link); err != nil {
		return err
	}
	index, err := in.index(inside)
	if err != nil {
		return err
	}
	if err := in.do(noIPv6(index), up(index), addAddr(index, l.addr), addNeighbour(index, gateway, hostMAC(l.addr)), defaultRoute(index)); err != nil {
		return err
	}
	if err := l.m.host.do(noIPv6(l.index), up(l.index), addNeighbour(l.index, l.addr, sandboxMAC(l.addr))); err != nil {
		return err
	}
	if err := l.m.host.do(routeTo(l.index, l.addr)); err != nil {
		if errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("%w: %w", errTaken, err)
		}
		return err
	}
	for wait := 100 * time.Microsecond; ; wait = min(2*wait, 20*time.Millisecond) {
		var yes bool
		if err := in.do(operational(index, &yes)); err != nil || yes {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// Close cuts the sandbox off and removes the pair, its route and its entry in the table. It returns once they are gone.
// It can be called again and then returns the first call's error. The namespace may be gone already.
func (l *Lease) Close() error {
	l.closing.Do(func() {
		l.mu.Lock()
		l.closed = true
		l.mu.Unlock()
		if err := l.m.reaping.run(l); err != nil {
			l.err = fmt.Errorf("detach %s: %w", l.id, err)
		}
	})
	return l.err
}

// reap removes several leases at once.
func (m *Manager) reap(leases []*Lease) error {
	var reqs []request
	var members []member
	for _, l := range leases {
		if l.index != 0 {
			reqs = append(reqs, setGroup(l.index, m.dying))
		}
		members = append(members, l.member())
	}
	var err error
	if len(reqs) > 0 {
		err = m.host.doAll(append(reqs, delGroup(m.dying)))
	}
	err = errors.Join(err, m.table.remove(members))
	m.mu.Lock()
	for _, l := range leases {
		delete(m.leases, l.addr)
	}
	m.mu.Unlock()
	return err
}
