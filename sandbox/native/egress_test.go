//go:build linux

package native_test

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"testing"

	"github.com/miekg/dns"

	"mayfly/sandbox"
	"mayfly/sandbox/native"
)

// hostAddr is an IPv4 address of this machine that is not loopback.
func hostAddr(t *testing.T) netip.Addr {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if ip, ok := netip.AddrFromSlice(a.(*net.IPNet).IP.To4()); ok && !ip.IsLoopback() {
			return ip
		}
	}
	t.Skip("this machine has no IPv4 address but loopback")
	return netip.Addr{}
}

func TestEgress(t *testing.T) { everyWay(t, reaches) }

func reaches(t *testing.T) {
	d := newDriver(t)
	host := hostAddr(t)
	l, err := net.Listen("tcp4", net.JoinHostPort(host.String(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	at := net.JoinHostPort(host.String(), strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	with := func(e sandbox.Egress) func(*sandbox.Binding) { return func(b *sandbox.Binding) { b.Egress = e } }

	for _, c := range []struct {
		name    string
		egress  sandbox.Egress
		reaches bool
	}{
		{"none", sandbox.Egress{Mode: sandbox.EgressNone}, false},
		{"internet", sandbox.Egress{Mode: sandbox.EgressInternet}, false},
		{"list", sandbox.Egress{Mode: sandbox.EgressList, Allow: []netip.Prefix{netip.PrefixFrom(host, 32)}}, true},
		{"other list", sandbox.Egress{Mode: sandbox.EgressList, Allow: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := create(t, d, with(c.egress))
			out, stderr, _ := try(t, s, "dial", "tcp", at)
			if reaches := out == "connected"; reaches != c.reaches {
				t.Errorf("dial the host: %s %s", out, stderr)
			}
			if n := links(t, d.Links()); c.reaches && n != 1 {
				t.Errorf("%d links while it lives", n)
			}
			if err := s.Destroy(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	if n := links(t, d.Links()); n != 0 {
		t.Errorf("%d links", n)
	}
}

func TestResolver(t *testing.T) { everyWay(t, resolves) }

// resolves has a function ask the relay, which asks a server of the test's own.
func resolves(t *testing.T) {
	upstream, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: upstream, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		a := new(dns.Msg).SetReply(q)
		if q.Question[0].Qtype == dns.TypeA {
			rr, _ := dns.NewRR(q.Question[0].Name + " 60 IN A 203.0.113.7")
			a.Answer = append(a.Answer, rr)
		}
		w.WriteMsg(a)
	})}
	go server.ActivateAndServe()
	defer server.Shutdown()
	d := newDriver(t, func(o *native.Options) { o.Resolvers = []string{upstream.LocalAddr().String()} })
	s := create(t, d, func(b *sandbox.Binding) { b.Egress.Mode = sandbox.EgressInternet })
	if out, stderr, _ := try(t, s, "resolve", "name.example"); out != "[203.0.113.7]" {
		t.Errorf("%s %s", out, stderr)
	}
	refused(t, "resolve without egress", attack(t, d, "resolve", "name.example"))
}
