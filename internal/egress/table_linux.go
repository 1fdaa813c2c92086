package egress

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"sync"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// table keeps the nftables table as it should be: one transaction for everything that comes while another is under way,
// and made anew when somebody removes it, as "nft flush ruleset" does, which firewall services run when they start.
type table struct {
	m *Manager

	mu      sync.Mutex
	conn    *nftables.Conn
	rules   *ruleset
	members map[netip.Addr]member

	adding  batch[member]
	watcher *os.File
	watched sync.WaitGroup
}

func openTable(m *Manager) (*table, error) {
	t := &table{m: m, members: make(map[netip.Addr]member)}
	t.adding.do = t.addAll
	if err := t.rebuild(); err != nil {
		if t.conn != nil {
			t.conn.CloseLasting()
		}
		return nil, err
	}
	if err := t.watch(); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// rebuild makes the whole table anew on a new connection: after an error the old one may have answers in it that
// belong to no question. The caller holds mu, or is the only one.
func (t *table) rebuild() error {
	conn, err := t.m.dial()
	if err != nil {
		return err
	}
	if t.conn != nil {
		t.conn.CloseLasting()
	}
	t.conn, t.rules = conn, newRuleset(t.m.o, conn)
	all := make([]member, 0, len(t.members))
	for _, m := range t.members {
		all = append(all, m)
	}
	return t.rules.build(all)
}

func (t *table) addAll(ms []member) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range ms {
		t.members[m.addr] = m
	}
	err := t.rules.queueAdd(ms)
	if err == nil {
		err = t.rules.flush()
	}
	if err == nil {
		return nil
	}
	t.m.o.Log.Warn("making the egress table anew", "err", err)
	if err := t.rebuild(); err != nil {
		for _, m := range ms {
			delete(t.members, m.addr)
		}
		return err
	}
	return nil
}

// remove takes out those of the members that are in.
func (t *table) remove(ms []member) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	ms = slices.DeleteFunc(ms, func(m member) bool {
		_, in := t.members[m.addr]
		delete(t.members, m.addr)
		return !in
	})
	if len(ms) == 0 {
		return nil
	}
	err := t.rules.queueRemove(ms)
	if err == nil {
		err = t.rules.flush()
	}
	if err == nil {
		return nil
	}
	t.m.o.Log.Warn("making the egress table anew", "err", err)
	return t.rebuild()
}

func (t *table) close() error {
	if t.watcher != nil {
		t.watcher.Close()
		t.watched.Wait()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.conn.CloseLasting()
	return t.rules.remove()
}

// watch listens to the kernel's announcements of changes to nftables.
func (t *table) watch() error {
	var fd int
	err := within(t.m.o.NetNS, func() (err error) {
		fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
		return err
	})
	if err != nil {
		return fmt.Errorf("egress: watch nftables: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.NFNLGRP_NFTABLES - 1)}); err != nil {
		unix.Close(fd)
		return fmt.Errorf("egress: watch nftables: %w", err)
	}
	t.watcher = os.NewFile(uintptr(fd), "nftables events")
	t.watched.Go(func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := t.watcher.Read(buf)
			switch {
			case err != nil && isOverrun(err): // something was missed
				t.restore()
			case err != nil:
				return // closed
			case tableDeleted(buf[:n]):
				t.restore()
			}
		}
	})
	return nil
}

func isOverrun(err error) bool { return errors.Is(err, unix.ENOBUFS) }

// tableDeleted tells whether a datagram of events has one of a table being deleted.
func tableDeleted(b []byte) bool {
	for len(b) >= unix.SizeofNlMsghdr {
		if binary.NativeEndian.Uint16(b[4:]) == unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_DELTABLE {
			return true
		}
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.SizeofNlMsghdr {
			return false
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return false
}

// restore makes the table anew if it is not there.
func (t *table) restore() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for wait := 10 * time.Millisecond; ; wait *= 2 {
		there, err := t.rules.exists()
		if there {
			return
		}
		if err == nil {
			t.m.o.Log.Warn("somebody removed the egress table from nftables; making it anew", "table", t.m.o.Name)
			if err = t.rebuild(); err == nil {
				return
			}
		}
		if wait > time.Second {
			t.m.o.Log.Error("functions have no outbound network: the egress table cannot be made", "err", err)
			return
		}
		time.Sleep(wait)
	}
}
