// Package egress gives sandboxes a way out to the network: a veth pair into the sandbox's network namespace, nftables
// rules that decide where it may go, and masquerading behind the host's address. A sandbox that may go nowhere is not
// attached at all.
//
// A Manager owns one nftables table and every link whose name begins with its own. What the rules promise is written in
// docs/networking.md: a sandbox reaches public addresses and listed networks, and nothing else; not the host, not its
// neighbours, not another sandbox, and with no source address but its own. All of it is denied by default, so that a rule
// that is missing closes a way rather than opening one.
//
// Beside it there is a relay for DNS queries, which a sandbox reaches on its own loopback address.
package egress

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"

	"mayfly"
)

// ErrUnsupported reports an operating system without network namespaces.
var ErrUnsupported = errors.New("egress: needs Linux")

// DefaultPool is where sandboxes' addresses come from: a part of the range for carriers' own use (RFC 6598), which
// hardly any private network uses, and of which 100.64.0.0/12, taken by some overlay networks, is left out.
var DefaultPool = netip.MustParsePrefix("100.96.0.0/12")

// Options set up a Manager.
type Options struct {
	// Name begins the names of the links and is the name of the nftables table: 1 to 9 of [a-z0-9], different for every
	// Manager on the machine and the same after a restart.
	Name string

	// Pool is where the addresses come from, DefaultPool when unset. It must not overlap with a network that the host
	// or any sandbox needs to reach.
	Pool netip.Prefix

	// HostDeny are networks to be denied in internet mode beside the ones that are private by definition, such as the
	// public addresses of the machine's own load balancer.
	HostDeny []netip.Prefix

	// NetNS is the network namespace that acts as the host's; nil is the one this process is in. It stays the caller's.
	NetNS *os.File

	Log *slog.Logger
}

// Policy says what a sandbox reaches.
type Policy struct {
	Internet bool           // every public address
	Allow    []netip.Prefix // IPv4 networks that are reached even if they are private or the host's own
}

// denied are the networks that internet mode does not reach: everything in IANA's registry of special-purpose addresses
// that is not globally reachable, and multicast.
var denied = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),        // this network
	netip.MustParsePrefix("10.0.0.0/8"),       // private
	netip.MustParsePrefix("100.64.0.0/10"),    // carriers' own, and the pool
	netip.MustParsePrefix("127.0.0.0/8"),      // loopback
	netip.MustParsePrefix("169.254.0.0/16"),   // link-local; clouds' metadata services
	netip.MustParsePrefix("172.16.0.0/12"),    // private
	netip.MustParsePrefix("192.0.0.0/24"),     // protocol assignments; one cloud's metadata service
	netip.MustParsePrefix("192.0.2.0/24"),     // documentation
	netip.MustParsePrefix("192.168.0.0/16"),   // private
	netip.MustParsePrefix("198.18.0.0/15"),    // benchmarks
	netip.MustParsePrefix("198.51.100.0/24"),  // documentation
	netip.MustParsePrefix("203.0.113.0/24"),   // documentation
	netip.MustParsePrefix("224.0.0.0/4"),      // multicast
	netip.MustParsePrefix("240.0.0.0/4"),      // reserved, and broadcast
	netip.MustParsePrefix("168.63.129.16/32"), // one cloud's metadata and resolver, on a public address
}

// withDefaults returns a checked copy.
func (o Options) withDefaults() (Options, error) {
	if len(o.Name) < 1 || len(o.Name) > 9 || strings.Trim(o.Name, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return o, fmt.Errorf("egress: the name %q is not 1 to 9 characters of [a-z0-9]", o.Name)
	}
	if !o.Pool.IsValid() {
		o.Pool = DefaultPool
	}
	o.Pool = o.Pool.Masked()
	if !o.Pool.Addr().Is4() || o.Pool.Bits() > 30 || o.Pool.Bits() < 8 {
		return o, mayfly.Errorf(mayfly.KindInvalid, "egress: %s cannot be the pool of addresses: give an IPv4 network from /8 to /30", o.Pool)
	}
	for _, p := range o.HostDeny {
		if !p.Addr().Is4() {
			return o, mayfly.Errorf(mayfly.KindInvalid, "egress: %s cannot be denied: sandboxes only have IPv4", p)
		}
	}
	o.HostDeny = slices.Clone(o.HostDeny)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// Check refuses what Attach cannot do.
func (p Policy) Check() error {
	for _, n := range p.Allow {
		if !n.IsValid() || !n.Addr().Unmap().Is4() {
			return mayfly.Errorf(mayfly.KindInvalid, "egress: %s cannot be listed: sandboxes only have IPv4; give an IPv4 network such as 10.1.0.0/16", n)
		}
	}
	return nil
}

// key is the same for policies that mean the same.
func (p Policy) key() string {
	var b strings.Builder
	if p.Internet {
		b.WriteString("internet")
	}
	for _, r := range ranges(p.Allow) {
		fmt.Fprintf(&b, ",%s-%s", r.first, r.last)
	}
	return b.String()
}

// addrRange is an inclusive range of IPv4 addresses.
type addrRange struct{ first, last netip.Addr }

// ranges turns networks into ranges that neither touch nor overlap, which is what an nftables set asks for.
func ranges(nets []netip.Prefix) []addrRange {
	var rs []addrRange
	for _, n := range nets {
		if a := n.Addr(); a.Is4In6() && n.Bits() >= 96 {
			n = netip.PrefixFrom(a.Unmap(), n.Bits()-96)
		}
		n = n.Masked()
		rs = append(rs, addrRange{n.Addr(), lastOf(n)})
	}
	slices.SortFunc(rs, func(a, b addrRange) int { return a.first.Compare(b.first) })
	var merged []addrRange
	for _, r := range rs {
		if k := len(merged) - 1; k >= 0 && (!merged[k].last.Next().IsValid() || r.first.Compare(merged[k].last.Next()) <= 0) {
			if r.last.Compare(merged[k].last) > 0 {
				merged[k].last = r.last
			}
			continue
		}
		merged = append(merged, r)
	}
	return merged
}

// lastOf is the last address of an IPv4 network.
func lastOf(n netip.Prefix) netip.Addr {
	a := n.Addr().As4()
	for bit := n.Bits(); bit < 32; bit++ {
		a[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(a)
}
