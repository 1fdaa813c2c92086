package native

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"mayfly/internal/egress"
	"mayfly/sandbox"
)

// network connects sandboxes to the world.
type network struct {
	m *egress.Manager
}

func newNetwork(o Options) (*network, error) {
	sum := sha256.Sum256([]byte(o.DataDir))
	m, err := egress.New(egress.Options{Name: "mf" + hex.EncodeToString(sum[:4])[:7], HostDeny: o.EgressDeny, Pool: o.EgressPool, Log: o.Log})
	if err != nil {
		return nil, err
	}
	return &network{m: m}, nil
}

// attach gives the sandbox a way out. The caller holds s.mu.
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
	return lease, nil
}

func (n *network) sweep() error {
	_, err := n.m.Sweep()
	return err
}

func (n *network) close() error { return n.m.Close() }
