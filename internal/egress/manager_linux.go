package egress

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	rtnetlink "github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"mayfly"
)

// Manager owns the table and the links. It is safe for concurrent use. It touches the host only once the first sandbox
// is attached.
type Manager struct {
	o     Options
	dying uint32 // the group of links that are being removed

	mu     sync.Mutex
	host   *rtnl // nil before the first Attach
	mtu    int   // set with host
	table  *table
	leases map[netip.Addr]*Lease
	next   uint32 // where the search for a free address goes on: it comes round to a used one as late as it can
	closed bool

	reaping batch[*Lease]
}

// New checks the options. It changes nothing on the host.
func New(o Options) (*Manager, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	h := fnv.New32a()
	h.Write([]byte(o.Name))
	m := &Manager{o: o, dying: h.Sum32() | 1<<30, leases: make(map[netip.Addr]*Lease)}
	m.next = h.Sum32() % (1 << (32 - o.Pool.Bits())) // so that several on one machine seldom meet
	m.reaping.do = m.reap
	return m, nil
}

// Sweep removes the links that an earlier process of the same name left behind, and its table. It reports how many links.
func (m *Manager) Sweep() (int, error) {
	h, err := m.handle()
	if err != nil {
		return 0, err
	}
	defer h.Close()
	links, err := h.LinkList()
	if err != nil {
		return 0, fmt.Errorf("egress: list links: %w", err)
	}
	m.mu.Lock()
	live := make(map[string]bool)
	for _, l := range m.leases {
		live[l.link] = true
	}
	started := m.table != nil
	m.mu.Unlock()
	var dead []request
	for _, l := range links {
		if a := l.Attrs(); strings.HasPrefix(a.Name, m.o.Name+"-") && l.Type() == "veth" && !live[a.Name] {
			dead = append(dead, setGroup(a.Index, m.dying))
		}
	}
	if len(dead) > 0 {
		r, err := openRtnl(m.o.NetNS)
		if err != nil {
			return 0, err
		}
		defer r.close()
		if err := r.doAll(append(dead, delGroup(m.dying))); err != nil {
			return 0, err
		}
	}
	if started {
		return len(dead), nil // the table is ours, or has been replaced by ours
	}
	conn, err := m.dial()
	if err != nil {
		return len(dead), err
	}
	defer conn.CloseLasting()
	err = newRuleset(m.o, conn).remove()
	if err != nil && len(dead) == 0 && (errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL)) {
		return 0, nil // no nftables here, so no table either
	}
	return len(dead), err
}

// handle opens a handle of the netlink library, which is at its best for lists.
func (m *Manager) handle() (*rtnetlink.Handle, error) {
	at := netns.None()
	if m.o.NetNS != nil {
		at = netns.NsHandle(m.o.NetNS.Fd())
	}
	h, err := rtnetlink.NewHandleAt(at, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("egress: netlink: %w", err)
	}
	return h, nil
}

// uplinkMTU is how long packets may be: what the links of the host's default routes take, at most Ethernet's 1,500. Longer
// ones would have to be cut or refused on the way, and not every network tells their sender.
func (m *Manager) uplinkMTU() (int, error) {
	h, err := m.handle()
	if err != nil {
		return 0, err
	}
	defer h.Close()
	mtu := 1500
	routes, err := h.RouteListFiltered(rtnetlink.FAMILY_V4, &rtnetlink.Route{}, rtnetlink.RT_FILTER_DST)
	if err != nil {
		return 0, fmt.Errorf("egress: list default routes: %w", err)
	}
	for _, r := range routes {
		for _, index := range append(hops(r), r.LinkIndex) {
			if l, err := h.LinkByIndex(index); err == nil && l.Attrs().MTU >= 576 {
				mtu = min(mtu, l.Attrs().MTU)
			}
		}
	}
	return mtu, nil
}

func hops(r rtnetlink.Route) (links []int) {
	for _, hop := range r.MultiPath {
		links = append(links, hop.LinkIndex)
	}
	return links
}

// dial opens a connection to nftables.
func (m *Manager) dial() (*nftables.Conn, error) {
	opts := []nftables.ConnOption{nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		return c.SetReadBuffer(8 << 20) // every message of a transaction is answered before the first answer is read
	})}
	if m.o.NetNS != nil {
		opts = append(opts, nftables.WithNetNSFd(int(m.o.NetNS.Fd())))
	}
	conn, err := nftables.New(opts...)
	if err != nil {
		return nil, fmt.Errorf("egress: nftables: %w", explain(err))
	}
	return conn, nil
}

// start sets up what the first sandbox needs. The caller holds mu.
func (m *Manager) start() error {
	if m.closed {
		return mayfly.Errorf(mayfly.KindUnavailable, "egress: shutting down")
	}
	if m.table != nil {
		return nil
	}
	mtu, err := m.uplinkMTU()
	if err != nil {
		return err
	}
	host, err := openRtnl(m.o.NetNS)
	if err != nil {
		return err
	}
	t, err := openTable(m)
	if err != nil {
		host.close()
		return mayfly.Errorf(mayfly.KindUnavailable, "%w; outbound traffic needs root and nftables, or set egress to none", err)
	}
	if err := m.forward(); err != nil {
		t.close()
		host.close()
		return err
	}
	m.host, m.table, m.mtu = host, t, mtu
	m.warnOfConflicts()
	return nil
}

// forward lets the host's kernel pass packets on, if it does not already.
func (m *Manager) forward() error {
	const file = "/proc/sys/net/ipv4/ip_forward"
	return within(m.o.NetNS, func() error {
		now, err := os.ReadFile(file)
		if err == nil && strings.TrimSpace(string(now)) == "1" {
			return nil
		}
		if err := os.WriteFile(file, []byte("1"), 0o644); err != nil {
			return mayfly.Errorf(mayfly.KindUnavailable, "egress: %w; switch IP forwarding on (sysctl -w net.ipv4.ip_forward=1), or set egress to none", err)
		}
		m.o.Log.Info("switched on IP forwarding (net.ipv4.ip_forward) for functions' outbound traffic")
		return nil
	})
}

// allocate finds a free address. The caller holds mu.
func (m *Manager) allocate(l *Lease) error {
	size := uint32(1) << (32 - m.o.Pool.Bits())
	base := m.o.Pool.Addr().As4()
	first := uint32(base[0])<<24 | uint32(base[1])<<16 | uint32(base[2])<<8 | uint32(base[3])
	for range size - 1 {
		m.next = m.next%(size-1) + 1 // 1 to size-1
		n := first + m.next
		a := netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
		if m.leases[a] == nil {
			m.leases[a] = l
			l.addr, l.link = a, m.o.Name+"-"+strconv.FormatUint(uint64(m.next), 36)
			return nil
		}
	}
	return mayfly.Errorf(mayfly.KindUnavailable, "egress: all %d addresses of %s are in use; set a larger pool", size-1, m.o.Pool)
}

// Close detaches every sandbox and removes the table. IP forwarding stays switched on: others may rely on it by now.
func (m *Manager) Close() error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil
	}
	m.closed = true
	var leases []*Lease
	for _, l := range m.leases {
		leases = append(leases, l)
	}
	m.mu.Unlock()

	var wg sync.WaitGroup
	errs := make([]error, len(leases))
	for i, l := range leases {
		wg.Go(func() { errs[i] = l.Close() })
	}
	wg.Wait()
	err := errors.Join(errs...)
	if m.table != nil { // nobody sets it any more
		err = errors.Join(err, m.table.close())
		m.host.close()
	}
	return err
}

// Attach gives the network namespace ns a way out under the policy. The namespace needs to be the sandbox's own and new:
// it gets a link named eth0, one address and a default route. The id is for messages.
func (m *Manager) Attach(ctx context.Context, id string, ns *os.File, p Policy) (*Lease, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		l, err := m.attach(ctx, id, ns, p)
		if try < 100 && errors.Is(err, errTaken) {
			continue
		}
		return l, err
	}
}

func (m *Manager) attach(ctx context.Context, id string, ns *os.File, p Policy) (*Lease, error) {
	l := &Lease{m: m, id: id, policy: p}
	m.mu.Lock()
	err := m.start()
	if err == nil {
		err = m.allocate(l)
	}
	m.mu.Unlock()
	if err != nil {
		return nil, err
	}
	// The two halves are independent, as a link without an entry in the table gets nothing through.
	listed := make(chan error, 1)
	go func() { listed <- m.table.adding.run(l.member()) }()
	err = l.connect(ctx, ns)
	if err = errors.Join(err, <-listed); err != nil {
		return nil, errors.Join(fmt.Errorf("attach %s: %w", id, err), l.Close())
	}
	return l, nil
}
