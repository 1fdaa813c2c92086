package native

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"mayfly/internal/egress"
	"mayfly/sandbox"
)

// network connects sandboxes to the world.
type network struct {
	m         *egress.Manager
	name      string // begins the names of links
	resolvers []string
}

func newNetwork(o Options) (*network, error) {
	sum := sha256.Sum256([]byte(o.DataDir))
	name := "mf" + hex.EncodeToString(sum[:4])[:7]
	m, err := egress.New(egress.Options{Name: name, HostDeny: o.EgressDeny, Pool: o.EgressPool, Log: o.Log})
	if err != nil {
		return nil, err
	}
	n := &network{m: m, name: name, resolvers: o.Resolvers}
	if len(n.resolvers) == 0 {
		n.resolvers = egress.Resolvers()
	}
	return n, nil
}

// attach gives the sandbox a way out, and a resolver: its /etc/resolv.conf names 127.0.0.1, where the server answers. The
// caller holds s.mu.
func (n *network) attach(ctx context.Context, s *box, e sandbox.Egress) (io.Closer, error) {
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", s.pid))
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	lease, err := n.m.Attach(ctx, s.id, ns, egress.Policy{Internet: e.Mode == sandbox.EgressInternet, Allow: e.Allow})
	if err != nil {
		return nil, err
	}
	if err := n.resolve(s); err != nil {
		return nil, errors.Join(err, lease.Close())
	}
	return lease, nil
}

// dnsPort is where resolvers are.
const dnsPort = 53

// resolve relays DNS queries until Destroy closes the sockets.
func (n *network) resolve(s *box) error {
	udp, err := s.listenPacket(dnsPort)
	if err != nil {
		return err
	}
	tcp, err := s.listen(dnsPort)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var relays sync.WaitGroup
	relays.Go(func() { n.log(s, egress.ServeDNS(ctx, udp, n.resolvers)) })
	relays.Go(func() { n.log(s, egress.ServeDNSTCP(ctx, tcp, n.resolvers)) })
	s.closers = append(s.closers, closerFunc(func() error { // after the sockets' own
		cancel()
		relays.Wait()
		return nil
	}))
	return nil
}

func (n *network) log(s *box, err error) {
	if err != nil {
		s.d.log.Warn("a sandbox's DNS relay ended", "sandbox", s.id, "error", err)
	}
}

func (n *network) sweep() error {
	_, err := n.m.Sweep()
	return err
}

func (n *network) close() error { return n.m.Close() }
