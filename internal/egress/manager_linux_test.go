package egress

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"mayfly"
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

func TestSpoofedSourcesAreDropped(t *testing.T) {
	w := newWorld(t)
	m := w.manager(Options{})
	_, other := w.sandbox(m, Policy{Internet: true})
	ns, l := w.sandbox(m, Policy{Internet: true})
	// What a process with all capabilities inside could try.
	for _, from := range []string{other.Addr().String(), "100.96.77.77", "10.1.1.1", "8.8.4.4", "5.5.5.77"} {
		w.run(ns, "ip", "addr", "add", from+"/32", "dev", "eth0")
		if w.arrives(ns, from, "8.8.8.8", "8.8.8.8") {
			t.Errorf("a datagram from %s got through", from)
		}
	}
	if !w.arrives(ns, l.Addr().String(), "8.8.8.8", "8.8.8.8") {
		t.Error("a datagram from the sandbox's own address did not")
	}
}

func TestNobodyComesIn(t *testing.T) {
	w := newWorld(t)
	m := w.manager(Options{})
	ns, l := w.sandbox(m, Policy{Allow: prefixes("0.0.0.0/0")})
	w.run(ns, "ip", "link", "set", "lo", "up") // for the test's own way to the server
	inner := w.serve(ns, l.Addr().String())
	w.run(w.internet, "ip", "route", "add", l.Addr().String(), "via", "5.5.5.1")
	neighbour, _ := w.sandbox(m, Policy{Allow: prefixes("0.0.0.0/0")})
	for name, from := range map[string]*os.File{"internet": w.internet, "host": w.host, "neighbour": neighbour} {
		if got, err := ask(from, l.Addr().String(), 50*time.Millisecond); err == nil {
			t.Errorf("a connection from the %s got in: %q", name, got)
		}
		if c, err := send(from, "", l.Addr().String(), name); err == nil {
			c.Close()
		}
	}
	w.arrives(ns, "", "8.8.8.8", "8.8.8.8") // what has been sent has come as far as it does
	for _, payload := range []string{"internet", "host", "neighbour"} {
		if _, in := inner.get(payload); in {
			t.Errorf("a datagram from the %s got in", payload)
		}
	}
}

func TestNoIPv6(t *testing.T) {
	w := newWorld(t)
	w.run(w.host, "sh", "-c", "! [ -d /proc/sys/net/ipv6 ] || echo 0 | tee /proc/sys/net/ipv6/conf/*/disable_ipv6")
	m := w.manager(Options{})
	ns, l := w.sandbox(m, Policy{Allow: prefixes("0.0.0.0/0")})
	for _, where := range []struct {
		ns   *os.File
		link string
	}{{ns, "eth0"}, {w.host, l.Link()}} {
		if got := w.run(where.ns, "ip", "-6", "-o", "addr", "show", "dev", where.link); got != "" {
			t.Errorf("%s has an IPv6 address: %s", where.link, got)
		}
	}
}

func TestClose(t *testing.T) {
	w := newWorld(t)
	m := w.manager(Options{})
	_, keep := w.sandbox(m, Policy{Internet: true})
	before := w.state()
	ns := newNS(t)
	for _, p := range []Policy{{Internet: true}, {Allow: prefixes("10.0.0.0/8")}} {
		l, err := m.Attach(t.Context(), "a", ns, p)
		if err != nil {
			t.Fatal(err)
		}
		if l.Addr() == keep.Addr() || !strings.Contains(w.state(), l.Link()) {
			t.Errorf("lease of %s on %s, state:\n%s", l.Addr(), l.Link(), w.state())
		}
		for range 2 {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
		if after := w.state(); after != before {
			t.Errorf("after Close:\n%s\nwant:\n%s", after, before)
		}
	}

	// A namespace that has gone takes the links with it; what else there is goes with Close.
	l, err := m.Attach(t.Context(), "b", ns, Policy{Allow: prefixes("10.0.0.0/8")})
	if err != nil {
		t.Fatal(err)
	}
	w.run(w.host, "ip", "link", "del", l.Link())
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if after := w.state(); after != before {
		t.Errorf("after Close:\n%s\nwant:\n%s", after, before)
	}
}

func TestAttachFails(t *testing.T) {
	w := newWorld(t)
	m := w.manager(Options{Pool: netip.MustParsePrefix("100.99.0.0/30")})
	ns, _ := w.sandbox(m, Policy{Internet: true})
	before := w.state()
	if _, err := m.Attach(t.Context(), "twice", ns, Policy{Internet: true}); !errors.Is(err, unix.EEXIST) {
		t.Errorf("a second attachment: %v, want EEXIST", err)
	}
	if _, err := m.Attach(t.Context(), "v6", newNS(t), Policy{Allow: prefixes("2001:db8::/32")}); mayfly.KindOf(err) != mayfly.KindInvalid {
		t.Errorf("an IPv6 network: %v, want KindInvalid", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := m.Attach(ctx, "late", newNS(t), Policy{}); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v, want Canceled", err)
	}
	if after := w.state(); after != before {
		t.Errorf("left behind:\n%s\nwant:\n%s", after, before)
	}
	// A /30 has three addresses to give: its first names the network.
	w.sandbox(m, Policy{Internet: true})
	_, third := w.sandbox(m, Policy{Internet: true})
	if _, err := m.Attach(t.Context(), "full", newNS(t), Policy{Internet: true}); mayfly.KindOf(err) != mayfly.KindUnavailable {
		t.Errorf("a full pool: %v, want KindUnavailable", err)
	}
	if err := third.Close(); err != nil {
		t.Fatal(err)
	}
	if _, again := w.sandbox(m, Policy{Internet: true}); again.Addr() != third.Addr() {
		t.Errorf("address %s, want the one that became free, %s", again.Addr(), third.Addr())
	}
}

func TestManyAtOnce(t *testing.T) {
	w := newWorld(t)
	m := w.manager(Options{})
	_, first := w.sandbox(m, Policy{Internet: true})
	before := w.state()
	policies := []Policy{{Internet: true}, {Allow: prefixes("10.0.0.0/8")}, {Internet: true, Allow: prefixes("10.9.9.9/32")}}
	spaces := make([]*os.File, 60)
	for i := range spaces {
		spaces[i] = newNS(t)
	}
	for range 2 {
		var mu sync.Mutex
		seen := map[netip.Addr]bool{first.Addr(): true}
		each(len(spaces), func(i int) {
			l, err := m.Attach(t.Context(), "many", spaces[i], policies[i%3])
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			if seen[l.Addr()] {
				t.Errorf("%s was given out twice", l.Addr())
			}
			seen[l.Addr()] = true
			mu.Unlock()
			addr := []string{"8.8.8.8", "10.9.9.9", "10.9.9.9"}[i%3]
			if got, err := ask(spaces[i], addr, 30*time.Second); err != nil || got != "5.5.5.1" {
				t.Errorf("TCP to %s = %q, %v", addr, got, err)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
		if after := w.state(); after != before {
			t.Fatalf("left behind:\n%s\nwant:\n%s", after, before)
		}
	}
}

func TestSweep(t *testing.T) {
	w := newWorld(t)
	dead := w.manager(Options{})
	live := w.manager(Options{})
	liveNS, _ := w.sandbox(live, Policy{Internet: true})
	before := w.state()
	for range 3 {
		w.sandbox(dead, Policy{Allow: prefixes("10.0.0.0/8")})
	}
	dead.table.watcher.Close() // a dead process watches over nothing
	dead.table.watched.Wait()
	// A new process of the same name finds the links and the table.
	next, err := New(Options{Name: dead.o.Name, NetNS: w.host})
	if err != nil {
		t.Fatal(err)
	}
	for want := 3; want >= 0; want -= 3 {
		if n, err := next.Sweep(); err != nil || n != want {
			t.Errorf("Sweep = %d, %v, want %d", n, err, want)
		}
	}
	if after := w.state(); after != before {
		t.Errorf("after the sweep:\n%s\nwant:\n%s", after, before)
	}
	if n, err := live.Sweep(); err != nil || n != 0 {
		t.Errorf("Sweep of a running one = %d, %v, want 0", n, err)
	}
	if !w.arrives(liveNS, "", "8.8.8.8", "8.8.8.8") {
		t.Error("the sweep cut off another Manager's sandbox")
	}
	if err := next.Close(); err != nil {
		t.Error(err)
	}
}

func TestTwoManagersShareAPool(t *testing.T) {
	w := newWorld(t)
	o := Options{Pool: netip.MustParsePrefix("100.99.0.0/28")}
	a, b := w.manager(o), w.manager(o)
	b.next = a.next // so that they meet at every step
	var wg sync.WaitGroup
	for range 7 {
		for _, m := range []*Manager{a, b} {
			ns, l := w.sandbox(m, Policy{Internet: true})
			wg.Go(func() {
				if got, err := ask(ns, "8.8.8.8", 30*time.Second); err != nil || got != "5.5.5.1" {
					t.Errorf("TCP from %s = %q, %v", l.Addr(), got, err)
				}
			})
		}
	}
	wg.Wait()
}

// Firewall services flush the whole rule set when they start.
func TestTableComesBack(t *testing.T) {
	w := newWorld(t)
	m := w.manager(Options{})
	ns, _ := w.sandbox(m, Policy{Internet: true})
	w.sandbox(m, Policy{Allow: prefixes("10.0.0.0/8")})
	conn, err := m.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseLasting()
	conn.FlushRuleset()
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if there, err := newRuleset(m.o, conn).exists(); err != nil {
			t.Fatal(err)
		} else if there {
			break
		} else if time.Now().After(deadline) {
			t.Fatal("the table did not come back")
		}
	}
	if !w.arrives(ns, "", "8.8.8.8", "8.8.8.8") || w.arrives(ns, "", "5.5.5.1", "8.8.8.8") {
		t.Error("the policy did not come back")
	}
	// And the other way round: an Attach that finds the table gone.
	m.table.watcher.Close()
	m.table.watched.Wait()
	conn.FlushRuleset()
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	ns2, _ := w.sandbox(m, Policy{Internet: true})
	for _, ns := range []*os.File{ns, ns2} {
		if !w.arrives(ns, "", "8.8.8.8", "8.8.8.8") {
			t.Error("cut off after the table was made anew")
		}
	}
}

func TestCloseDetachesEverybody(t *testing.T) {
	w := newWorld(t)
	before := w.state()
	fds := countFDs(t)
	m, err := New(Options{Name: testName(), NetNS: w.host})
	if err != nil {
		t.Fatal(err)
	}
	if w.state() != before {
		t.Error("New changed the host")
	}
	spaces := []*os.File{newNS(t), newNS(t)}
	for _, ns := range spaces {
		if _, err := m.Attach(t.Context(), "x", ns, Policy{Internet: true}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	if after := w.state(); after != before {
		t.Errorf("left behind:\n%s\nwant:\n%s", after, before)
	}
	if _, err := m.Attach(t.Context(), "late", spaces[0], Policy{}); mayfly.KindOf(err) != mayfly.KindUnavailable {
		t.Errorf("Attach after Close: %v, want KindUnavailable", err)
	}
	if now := countFDs(t) - len(spaces); now != fds {
		t.Errorf("%d descriptors before, %d after", fds, now)
	}
}

func countFDs(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

func TestLinksTakeWhatTheUplinkTakes(t *testing.T) {
	for uplink, want := range map[string]string{"1400": "mtu 1400 ", "9000": "mtu 1500 "} {
		w := newWorld(t)
		w.run(w.host, "ip", "link", "set", "up0", "mtu", uplink)
		m := w.manager(Options{})
		ns, l := w.sandbox(m, Policy{Internet: true})
		if got := w.run(ns, "ip", "link", "show", "eth0") + w.run(w.host, "ip", "link", "show", l.Link()); strings.Count(got, want) != 2 {
			t.Errorf("with an uplink of %s:\n%s", uplink, got)
		}
	}
}

func TestConflicts(t *testing.T) {
	w := newWorld(t)
	var log bytes.Buffer
	m := w.manager(Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if names, err := m.Conflicts(); err != nil || len(names) != 0 {
		t.Errorf("Conflicts = %v, %v, want none", names, err)
	}
	conn, err := m.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseLasting()
	drop := nftables.ChainPolicyDrop
	filter := conn.AddTable(&nftables.Table{Name: "filter", Family: nftables.TableFamilyIPv4})
	for name, hook := range map[string]*nftables.ChainHook{"FORWARD": nftables.ChainHookForward, "INPUT": nftables.ChainHookInput} {
		conn.AddChain(&nftables.Chain{Table: filter, Name: name, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: nftables.ChainPriorityFilter, Policy: &drop})
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	ns, _ := w.sandbox(m, Policy{Internet: true})
	if _, err := ask(ns, "8.8.8.8", 50*time.Millisecond); err == nil {
		t.Error("the other filter let a packet through; this test is wrong")
	}
	if names, err := m.Conflicts(); err != nil || !slices.Equal(names, []string{"table ip filter chain FORWARD"}) {
		t.Errorf("Conflicts = %v, %v", names, err)
	}
	if !strings.Contains(log.String(), "table ip filter chain FORWARD") {
		t.Errorf("no warning in the log: %s", log.String())
	}
}

// The relay takes queries on a sandbox's loopback address and asks from the host: a sandbox without any link can resolve.
func TestRelayOutOfASandbox(t *testing.T) {
	w := newWorld(t)
	ns := newNS(t)
	w.run(ns, "ip", "link", "set", "lo", "up")
	up := upstream(t, answerWith("192.0.2.7"))
	var pc net.PacketConn
	err := within(ns, func() (err error) {
		pc, err = net.ListenPacket("udp4", "127.0.0.1:53")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- ServeDNS(t.Context(), pc, []string{up}) }()
	err = within(ns, func() error {
		if a := query(t, "udp", "127.0.0.1:53", "inside.test."); len(a.Answer) != 1 {
			t.Errorf("%v", a)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	pc.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
