package egress

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// listen finds a port that is free for both protocols.
func listen(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if pc, err := net.ListenPacket("udp", l.Addr().String()); err == nil {
			return pc, l
		}
		l.Close()
	}
}

// upstream is a name server of the tests' own. It answers over UDP and TCP on one port.
func upstream(t *testing.T, h dns.HandlerFunc) string {
	t.Helper()
	pc, l := listen(t)
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: h}, {Listener: l, Handler: h}} {
		ready := make(chan struct{})
		s.NotifyStartedFunc = func() { close(ready) }
		go s.ActivateAndServe()
		<-ready
		t.Cleanup(func() { s.Shutdown() })
	}
	return pc.LocalAddr().String()
}

// startRelay serves both protocols and checks that they end with the context.
func startRelay(t *testing.T, upstreams ...string) (addr string) {
	t.Helper()
	pc, l := listen(t)
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := ServeDNS(ctx, pc, upstreams); err != nil {
			t.Errorf("ServeDNS: %v", err)
		}
	})
	wg.Go(func() {
		if err := ServeDNSTCP(ctx, l, upstreams); err != nil {
			t.Errorf("ServeDNSTCP: %v", err)
		}
	})
	t.Cleanup(func() {
		stop()
		wg.Wait()
		pc.Close()
		l.Close()
	})
	return pc.LocalAddr().String()
}

// answerWith gives each name an address, and big.test. so many that only TCP carries them.
func answerWith(addr string) dns.HandlerFunc {
	return func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		n := 1
		if strings.HasPrefix(q.Question[0].Name, "big.") {
			n = 500
		}
		for range n {
			m.Answer = append(m.Answer, &dns.A{
				Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1},
				A:   net.ParseIP(addr),
			})
		}
		if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
			m.Truncate(dns.MinMsgSize)
		}
		w.WriteMsg(m)
	}
}

func query(t *testing.T, network, addr, name string) *dns.Msg {
	t.Helper()
	c := dns.Client{Net: network, Timeout: 30 * time.Second}
	a, _, err := c.Exchange(new(dns.Msg).SetQuestion(name, dns.TypeA), addr)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestRelay(t *testing.T) {
	relay := startRelay(t, upstream(t, answerWith("192.0.2.7")))
	for _, network := range []string{"udp", "tcp"} {
		a := query(t, network, relay, "Example.test.")
		if len(a.Answer) != 1 || a.Answer[0].(*dns.A).A.String() != "192.0.2.7" {
			t.Errorf("%s: %v", network, a)
		}
	}
	if a := query(t, "udp", relay, "big.test."); !a.Truncated {
		t.Errorf("a big answer by UDP: %v", a.MsgHdr)
	}
	if a := query(t, "tcp", relay, "big.test."); a.Truncated || len(a.Answer) != 500 {
		t.Errorf("a big answer by TCP: %d records", len(a.Answer))
	}
}

func TestRelayManyAtOnce(t *testing.T) {
	relay := startRelay(t, upstream(t, answerWith("192.0.2.7")))
	var wg sync.WaitGroup
	for range 3 * dnsOutstanding {
		wg.Go(func() {
			if a := query(t, "udp", relay, "many.test."); len(a.Answer) != 1 {
				t.Errorf("%v", a)
			}
		})
	}
	wg.Wait()
}

func TestRelayGoesOnToTheNextUpstream(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // its UDP port is closed, and its TCP connections are refused once it is
	if err != nil {
		t.Fatal(err)
	}
	dead := l.Addr().String()
	l.Close()
	relay := startRelay(t, dead, upstream(t, answerWith("192.0.2.8")))
	for _, network := range []string{"udp", "tcp"} {
		if a := query(t, network, relay, "next.test."); len(a.Answer) != 1 {
			t.Errorf("%s: %v", network, a)
		}
	}
	relay = startRelay(t, dead)
	for _, network := range []string{"udp", "tcp"} {
		if a := query(t, network, relay, "none.test."); a.Rcode != dns.RcodeServerFailure || a.Question[0].Name != "none.test." {
			t.Errorf("%s without an upstream: %v", network, a)
		}
	}
}

func TestRelayBelievesOnlyTheAnswer(t *testing.T) {
	up := upstream(t, func(w dns.ResponseWriter, q *dns.Msg) {
		answer := answerWith("192.0.2.66")
		wrongID := q.Copy()
		wrongID.Id++
		answer(w, wrongID)
		other := q.Copy()
		other.Question[0].Name = "other.test."
		answer(w, other)
		w.Write([]byte("garbage"))
		w.WriteMsg(q) // no answer at all
		answerWith("192.0.2.9")(w, q)
	})
	relay := startRelay(t, up)
	a := query(t, "udp", relay, "right.test.")
	if len(a.Answer) != 1 || a.Answer[0].(*dns.A).A.String() != "192.0.2.9" {
		t.Errorf("%v", a)
	}
}

func TestRelaySurvivesGarbage(t *testing.T) {
	relay := startRelay(t, upstream(t, answerWith("192.0.2.7")))
	good, err := new(dns.Msg).SetQuestion("good.test.", dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	garbage := [][]byte{nil, {0}, make([]byte, dnsHeader), good[:len(good)-1], slices.Repeat([]byte{0xff}, 4000), slices.Repeat([]byte{63}, 600)}
	for i := range good { // every way of breaking one octet of the header and name length
		bad := slices.Clone(good)
		bad[i] ^= 0xff
		garbage = append(garbage, bad)
	}
	c, err := net.Dial("udp", relay)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, g := range garbage {
		c.Write(g)
		tc, err := net.Dial("tcp", relay)
		if err != nil {
			t.Fatal(err)
		}
		tc.Write(append([]byte{0xff, 0xff}, g...))
		tc.Close()
	}
	for _, network := range []string{"udp", "tcp"} {
		if a := query(t, network, relay, "good.test."); len(a.Answer) != 1 {
			t.Errorf("%s: %v", network, a)
		}
	}
}

func TestRelayEndsWhenClosed(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2)
	go func() { done <- ServeDNS(t.Context(), pc, nil) }()
	go func() { done <- ServeDNSTCP(t.Context(), l, nil) }()
	pc.Close()
	l.Close()
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestParseResolvers(t *testing.T) {
	for _, tc := range []struct {
		text string
		want []string
	}{
		{"", []string{"127.0.0.1:53"}},
		{"# nameserver 9.9.9.9\nsearch a b\nnameserver 127.0.0.53\noptions edns0\n", []string{"127.0.0.53:53"}},
		{"nameserver 10.0.0.2\nnameserver\tfe80::1%eth0 \nnameserver\n", []string{"10.0.0.2:53", "[fe80::1%eth0]:53"}},
	} {
		if got := parseResolvers(tc.text); !slices.Equal(got, tc.want) {
			t.Errorf("%q: %v, want %v", tc.text, got, tc.want)
		}
	}
	r := newRelay(t.Context(), []string{"10.0.0.2", "10.0.0.3:5353", "fe80::1", "[::1]"})
	if want := []string{"10.0.0.2:53", "10.0.0.3:5353", "[fe80::1]:53", "[::1]:53"}; !slices.Equal(r.upstreams, want) {
		t.Errorf("upstreams %v, want %v", r.upstreams, want)
	}
}

func FuzzQuestion(f *testing.F) {
	good, _ := new(dns.Msg).SetQuestion("good.test.", dns.TypeA).Pack()
	f.Add(good)
	f.Fuzz(func(t *testing.T, m []byte) {
		if isQuery(m) {
			if a := servfail(m); !answers(a, m) {
				t.Errorf("%x is no answer to %x", a, m)
			}
		}
	})
}
