package egress

import (
	"fmt"
	"slices"

	"github.com/google/nftables"
)

// Conflicts names the chains of other programs that drop forwarded packets unless a rule of theirs accepts them, as
// Docker's and ufw's do: a packet has to be accepted by everyone. Rules of the legacy iptables are not seen.
func (m *Manager) Conflicts() ([]string, error) {
	conn, err := m.dial()
	if err != nil {
		return nil, err
	}
	defer conn.CloseLasting()
	chains, err := conn.ListChains()
	if err != nil {
		return nil, fmt.Errorf("egress: list chains: %w", explain(err))
	}
	var names []string
	for _, c := range chains {
		family := map[nftables.TableFamily]string{nftables.TableFamilyIPv4: "ip", nftables.TableFamilyINet: "inet"}[c.Table.Family]
		if family != "" && c.Hooknum != nil && *c.Hooknum == *nftables.ChainHookForward && c.Policy != nil && *c.Policy == nftables.ChainPolicyDrop {
			names = append(names, fmt.Sprintf("table %s %s chain %s", family, c.Table.Name, c.Name))
		}
	}
	slices.Sort(names)
	return names, nil
}

// warnOfConflicts logs them with what to do. The caller has started.
func (m *Manager) warnOfConflicts() {
	names, err := m.Conflicts()
	if err != nil {
		m.o.Log.Warn("cannot look for packet filters that would drop functions' traffic", "err", err)
		return
	}
	for _, n := range names {
		m.o.Log.Warn("another packet filter drops forwarded packets by default; functions reach nothing unless it accepts theirs (docs/networking.md)",
			"filter", n, "links", m.o.Name+"-*")
	}
}
