package egress

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"mayfly"
)

func nets(list string) (ps []netip.Prefix) {
	for _, s := range strings.Fields(list) {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

func TestRanges(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"", "[]"},
		{"10.0.0.0/8", "[{10.0.0.0 10.255.255.255}]"},
		{"10.1.2.3/8 10.0.0.0/16", "[{10.0.0.0 10.255.255.255}]"},
		{"10.0.1.0/24 10.0.0.0/24", "[{10.0.0.0 10.0.1.255}]"}, // touching
		{"1.2.3.4/32 1.2.3.6/32", "[{1.2.3.4 1.2.3.4} {1.2.3.6 1.2.3.6}]"},
		{"0.0.0.0/0 255.255.255.255/32", "[{0.0.0.0 255.255.255.255}]"},
		{"240.0.0.0/4 224.0.0.0/4", "[{224.0.0.0 255.255.255.255}]"},
		{"::ffff:10.0.0.0/104", "[{10.0.0.0 10.255.255.255}]"},
	} {
		got := []addrRange(ranges(nets(tc.in)))
		s := "["
		for i, r := range got {
			if i > 0 {
				s += " "
			}
			s += fmt.Sprintf("{%s %s}", r.first, r.last)
		}
		if s += "]"; s != tc.want {
			t.Errorf("%q: %s, want %s", tc.in, s, tc.want)
		}
	}
}

func TestPolicyKey(t *testing.T) {
	same := [][2]Policy{
		{{Allow: nets("10.0.0.0/8 192.168.0.0/16")}, {Allow: nets("192.168.0.0/16 10.0.0.0/8 10.1.0.0/16")}},
		{{Internet: true}, {Internet: true, Allow: []netip.Prefix{}}},
	}
	for _, p := range same {
		if p[0].key() != p[1].key() {
			t.Errorf("%v and %v have different keys", p[0], p[1])
		}
	}
	seen := make(map[string]bool)
	for _, p := range []Policy{{}, {Internet: true}, {Allow: nets("10.0.0.0/8")}, {Allow: nets("10.0.0.0/9")}, {Internet: true, Allow: nets("10.0.0.0/8")}} {
		if seen[p.key()] {
			t.Errorf("%v has the key of another policy", p)
		}
		seen[p.key()] = true
	}
}

func TestOptions(t *testing.T) {
	for _, tc := range []struct {
		o  Options
		ok bool
	}{
		{Options{Name: "mf1a2b3c4"}, true},
		{Options{Name: "mf", Pool: netip.MustParsePrefix("10.200.0.0/16"), HostDeny: nets("5.5.5.5/32")}, true},
		{Options{Name: ""}, false},
		{Options{Name: "mf1a2b3c4d"}, false}, // with an address's number it would not fit
		{Options{Name: "mf-1"}, false},       // "mf" would take its links for its own
		{Options{Name: "mf", Pool: netip.MustParsePrefix("10.0.0.0/31")}, false},
		{Options{Name: "mf", Pool: netip.MustParsePrefix("10.0.0.0/7")}, false}, // nor would this many
		{Options{Name: "mf", Pool: netip.MustParsePrefix("fd00::/64")}, false},
		{Options{Name: "mf", HostDeny: nets("fd00::/64")}, false},
	} {
		if _, err := tc.o.withDefaults(); (err == nil) != tc.ok {
			t.Errorf("%+v: %v", tc.o, err)
		}
	}
	if err := (Policy{Allow: nets("fd00::/64")}).Check(); mayfly.KindOf(err) != mayfly.KindInvalid {
		t.Errorf("an IPv6 network: %v", err)
	}
}
