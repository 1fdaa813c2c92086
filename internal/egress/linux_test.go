package egress

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func prefixes(ss ...string) (ps []netip.Prefix) {
	for _, s := range ss {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

func TestWhoIsReached(t *testing.T) {
	w := newWorld(t)
	m := w.manager(Options{HostDeny: prefixes("1.1.1.0/24")})
	_, other := w.sandbox(m, Policy{Internet: true})
	for _, tc := range []struct {
		name    string
		policy  Policy
		fence   string
		reached string
		denied  string
	}{
		{"internet", Policy{Internet: true}, "8.8.8.8",
			"8.8.8.8",
			"1.1.1.1 5.5.5.1 10.7.0.1 10.9.9.9 192.168.5.5 169.254.169.254 169.254.1.1 100.96.0.0 224.0.0.1 255.255.255.255 OTHER"},
		{"one network", Policy{Allow: prefixes("10.9.0.0/16")}, "10.9.9.9",
			"10.9.9.9",
			"8.8.8.8 1.1.1.1 5.5.5.1 5.5.5.2 10.7.0.1 192.168.5.5 169.254.169.254 OTHER"},
		{"several", Policy{Allow: prefixes("192.168.0.0/16", "10.9.9.9/32", "192.168.5.0/24", "8.8.8.8/32")}, "8.8.8.8",
			"8.8.8.8 10.9.9.9 192.168.5.5",
			"1.1.1.1 5.5.5.1 10.7.0.1 169.254.169.254 OTHER"},
		{"internet and a private network", Policy{Internet: true, Allow: prefixes("10.9.9.9/32")}, "8.8.8.8",
			"8.8.8.8 10.9.9.9",
			"1.1.1.1 5.5.5.1 10.7.0.1 192.168.5.5 169.254.169.254 OTHER"},
		{"the host's own, listed", Policy{Allow: prefixes("10.7.0.1/32")}, "10.7.0.1",
			"10.7.0.1",
			"8.8.8.8 5.5.5.1 10.9.9.9 OTHER"},
		{"everything", Policy{Allow: prefixes("0.0.0.0/0")}, "8.8.8.8",
			"8.8.8.8 1.1.1.1 5.5.5.1 10.7.0.1 10.9.9.9 169.254.169.254",
			"OTHER"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := *w
			w.t = t
			ns, _ := w.sandbox(m, tc.policy)
			for _, a := range strings.Fields(tc.reached) {
				if !w.arrives(ns, "", a, tc.fence) {
					t.Errorf("%s is not reached", a)
				}
				if got, err := ask(ns, a, 30*time.Second); err != nil || (got != "5.5.5.1" && !strings.HasPrefix(got, "100.")) {
					t.Errorf("TCP to %s = %q, %v", a, got, err)
				}
			}
			for _, a := range strings.Fields(tc.denied) {
				a = strings.Replace(a, "OTHER", other.Addr().String(), 1)
				if w.arrives(ns, "", a, tc.fence) {
					t.Errorf("%s is reached", a)
				}
				if got, err := ask(ns, a, 50*time.Millisecond); err == nil {
					t.Errorf("TCP to %s got through: %q", a, got)
				}
			}
		})
	}
}
