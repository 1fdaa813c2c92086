package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// ruleset is the nftables table. As nft would show it, for a Manager named mf:
//
//	table inet mf {
//	  map sandboxes { type ifname . ipv4_addr : verdict    # who is who, and may do what: one entry a sandbox
//	    elements = { "mf-1" . 100.96.0.1 : goto policy0 } }
//	  set denied { type ipv4_addr; flags interval; … }
//	  set policy1 { type ipv4_addr; flags interval; … }
//
//	  chain input {   type filter hook input …;       iifname "mf-*" jump sandbox }
//	  chain forward { type filter hook forward …;
//	    iifname "mf-*" oifname "mf-*" drop
//	    iifname "mf-*" jump sandbox
//	    oifname "mf-*" ct state established,related accept
//	    oifname "mf-*" drop }
//	  chain output {  type filter hook output …;      oifname "mf-*" ct state established,related accept
//	                                                  oifname "mf-*" drop }
//	  chain postrouting { type nat hook postrouting …; ip saddr POOL oifname != "mf-*" masquerade fully-random }
//
//	  chain sandbox {
//	    meta nfproto != ipv4 drop
//	    iifname . ip saddr vmap @sandboxes
//	    drop }
//	  chain public {
//	    ip daddr @denied drop
//	    fib daddr type != unicast drop                     # the host's own addresses, as of this very packet
//	    accept }
//	  chain policy0 { goto public }                        # {Internet: true}
//	  chain policy1 { ip daddr @policy1 accept; drop }     # {Allow: …}
//	}
//
// Each different policy has a chain, which the sandboxes that have it share: attaching one more is one entry in a map.
type ruleset struct {
	conn     *nftables.Conn
	name     string
	pool     netip.Prefix
	deny     []netip.Prefix
	table    *nftables.Table
	members  *nftables.Set
	policies map[string]*policyChain // by Policy.key
	setID    uint32
	chainID  int
}

type policyChain struct {
	chain *nftables.Chain
	set   *nftables.Set
	users int
}

// member is a sandbox's entry.
type member struct {
	link   string
	addr   netip.Addr
	policy Policy
}

func newRuleset(o Options, conn *nftables.Conn) *ruleset {
	deny := append([]netip.Prefix{o.Pool}, denied...)
	return &ruleset{conn: conn, name: o.Name, pool: o.Pool, deny: append(deny, o.HostDeny...)}
}

// build replaces the table, if there is one, by a new one with these members, in one transaction.
func (r *ruleset) build(members []member) error {
	r.table = &nftables.Table{Name: r.name, Family: nftables.TableFamilyINet}
	r.policies = make(map[string]*policyChain)
	c := r.conn
	c.AddTable(r.table) // so that there is one to delete
	c.DelTable(r.table)
	c.AddTable(r.table)

	r.setID++
	r.members = &nftables.Set{
		Table: r.table, ID: r.setID, Name: "sandboxes", IsMap: true, Concatenation: true,
		KeyType:  nftables.MustConcatSetType(nftables.TypeIFName, nftables.TypeIPAddr),
		DataType: nftables.TypeVerdict,
	}
	if err := c.AddSet(r.members, nil); err != nil {
		return fmt.Errorf("egress: %w", err)
	}
	denied, err := r.addNetworks("denied", r.deny)
	if err != nil {
		return err
	}

	public := c.AddChain(&nftables.Chain{Table: r.table, Name: "public"})
	r.rule(public, payload(daddr, 1), lookup(denied), drop())
	r.rule(public, &expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true}, cmp(expr.CmpOpNeq, native(unix.RTN_UNICAST)), drop())
	r.rule(public, accept())

	sandbox := c.AddChain(&nftables.Chain{Table: r.table, Name: "sandbox"})
	r.rule(sandbox, &expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, cmp(expr.CmpOpNeq, []byte{unix.NFPROTO_IPV4}), drop())
	r.rule(sandbox, &expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1}, payload(saddr, 2), // 1 is 16 bytes wide, 2 follows it
		&expr.Lookup{SourceRegister: 1, SetName: r.members.Name, SetID: r.members.ID, IsDestRegSet: true})
	r.rule(sandbox, drop())

	iif := &expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1}
	oif := &expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1}
	ours := cmp(expr.CmpOpEq, []byte(r.name+"-")) // as much of the name as there is here
	in := r.base("input", nftables.ChainTypeFilter, nftables.ChainHookInput, nftables.ChainPriorityFilter)
	r.rule(in, iif, ours, jump(sandbox.Name))

	fwd := r.base("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter)
	r.rule(fwd, iif, ours, oif, ours, drop())
	r.rule(fwd, iif, ours, jump(sandbox.Name))
	r.rule(fwd, append([]expr.Any{oif, ours}, append(established(), accept())...)...)
	r.rule(fwd, oif, ours, drop())

	out := r.base("output", nftables.ChainTypeFilter, nftables.ChainHookOutput, nftables.ChainPriorityFilter)
	r.rule(out, append([]expr.Any{oif, ours}, append(established(), accept())...)...)
	r.rule(out, oif, ours, drop())

	nat := r.base("postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource)
	r.rule(nat, &expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, cmp(expr.CmpOpEq, []byte{unix.NFPROTO_IPV4}),
		payload(saddr, 1), &expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask(r.pool.Bits()), Xor: make([]byte, 4)},
		cmp(expr.CmpOpEq, r.pool.Addr().AsSlice()), oif, cmp(expr.CmpOpNeq, []byte(r.name+"-")), &expr.Masq{FullyRandom: true})

	if err := r.queueAdd(members); err != nil {
		return err
	}
	return r.flush()
}

// queueAdd and queueRemove go into the transaction that flush commits.
func (r *ruleset) queueAdd(members []member) error {
	var elements []nftables.SetElement
	for _, m := range members {
		p, err := r.policyFor(m.policy)
		if err != nil {
			return err
		}
		p.users++
		elements = append(elements, m.element(p))
	}
	return chunks(elements, func(es []nftables.SetElement) error { return r.conn.SetAddElements(r.members, es) })
}

func (r *ruleset) queueRemove(members []member) error {
	var elements []nftables.SetElement
	var unused []*policyChain
	for _, m := range members {
		key := m.policy.key()
		p := r.policies[key]
		if p == nil {
			continue
		}
		elements = append(elements, m.element(p))
		if p.users--; p.users == 0 {
			unused = append(unused, p)
			delete(r.policies, key)
		}
	}
	if err := chunks(elements, func(es []nftables.SetElement) error { return r.conn.SetDeleteElements(r.members, es) }); err != nil {
		return err
	}
	for _, p := range unused {
		r.conn.FlushChain(p.chain)
		r.conn.DelChain(p.chain)
		if p.set != nil {
			r.conn.DelSet(p.set)
		}
	}
	return nil
}

// chunks cuts a list so that each part fits into one message, whose lists are at most 64 KiB long.
func chunks(all []nftables.SetElement, f func([]nftables.SetElement) error) error {
	for part := range slices.Chunk(all, 400) {
		if err := f(part); err != nil {
			return fmt.Errorf("egress: %w", err)
		}
	}
	return nil
}

// policyFor finds or makes the chain of a policy.
func (r *ruleset) policyFor(policy Policy) (*policyChain, error) {
	key := policy.key()
	if p := r.policies[key]; p != nil {
		return p, nil
	}
	name := "policy" + strconv.Itoa(r.chainID)
	r.chainID++
	p := &policyChain{chain: r.conn.AddChain(&nftables.Chain{Table: r.table, Name: name})}
	if len(policy.Allow) > 0 {
		var err error
		if p.set, err = r.addNetworks(name, policy.Allow); err != nil {
			return nil, err
		}
		r.rule(p.chain, payload(daddr, 1), lookup(p.set), accept())
	}
	if policy.Internet {
		r.rule(p.chain, &expr.Verdict{Kind: expr.VerdictGoto, Chain: "public"})
	}
	r.rule(p.chain, drop())
	r.policies[key] = p
	return p, nil
}

// flush commits everything queued, or nothing of it.
func (r *ruleset) flush() error {
	err := r.conn.Flush()
	if err == nil {
		return nil
	}
	return fmt.Errorf("egress: nftables: %w", explain(err))
}

func explain(err error) error {
	switch {
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EPROTONOSUPPORT):
		return fmt.Errorf("%w: this kernel lacks nftables with NAT (modules nf_tables, nft_masq, nft_fib_inet, nft_ct)", err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: changing the packet filter takes root", err)
	}
	return err
}

// remove deletes the table, if it is there.
func (r *ruleset) remove() error {
	there, err := r.exists()
	if err != nil || !there {
		return err
	}
	r.conn.DelTable(&nftables.Table{Name: r.name, Family: nftables.TableFamilyINet})
	return r.flush()
}

func (r *ruleset) exists() (bool, error) {
	tables, err := r.conn.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return false, fmt.Errorf("egress: nftables: %w", explain(err))
	}
	return slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == r.name }), nil
}

func (m member) element(p *policyChain) nftables.SetElement {
	key := make([]byte, unix.IFNAMSIZ, unix.IFNAMSIZ+4)
	copy(key, m.link)
	return nftables.SetElement{
		Key:         append(key, m.addr.AsSlice()...),
		VerdictData: &expr.Verdict{Kind: expr.VerdictGoto, Chain: p.chain.Name},
	}
}

func (r *ruleset) addNetworks(name string, nets []netip.Prefix) (*nftables.Set, error) {
	r.setID++
	s := &nftables.Set{Table: r.table, ID: r.setID, Name: name, KeyType: nftables.TypeIPAddr, Interval: true}
	var elements []nftables.SetElement
	for _, n := range ranges(nets) {
		elements = append(elements, nftables.SetElement{Key: n.first.AsSlice()})
		if after := n.last.Next(); after.IsValid() { // else it is open to the end
			elements = append(elements, nftables.SetElement{Key: after.AsSlice(), IntervalEnd: true})
		}
	}
	if err := r.conn.AddSet(s, elements); err != nil {
		return nil, fmt.Errorf("egress: %w", err)
	}
	return s, nil
}

func (r *ruleset) base(name string, t nftables.ChainType, hook *nftables.ChainHook, prio *nftables.ChainPriority) *nftables.Chain {
	policy := nftables.ChainPolicyAccept // for what is not a sandbox's: no business of ours
	return r.conn.AddChain(&nftables.Chain{Table: r.table, Name: name, Type: t, Hooknum: hook, Priority: prio, Policy: &policy})
}

func (r *ruleset) rule(c *nftables.Chain, exprs ...expr.Any) {
	r.conn.AddRule(&nftables.Rule{Table: r.table, Chain: c, Exprs: exprs})
}

// The pieces rules are made of.

const (
	saddr = 12 // offsets in the IPv4 header
	daddr = 16
)

func payload(offset, register uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4}
}

func lookup(s *nftables.Set) expr.Any {
	return &expr.Lookup{SourceRegister: 1, SetName: s.Name, SetID: s.ID}
}

func cmp(op expr.CmpOp, data []byte) expr.Any { return &expr.Cmp{Op: op, Register: 1, Data: data} }

func established() []expr.Any {
	bits := native(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED)
	return []expr.Any{
		&expr.Ct{Register: 1, Key: expr.CtKeySTATE},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: bits, Xor: make([]byte, 4)},
		cmp(expr.CmpOpNeq, make([]byte, 4)),
	}
}

func accept() expr.Any { return &expr.Verdict{Kind: expr.VerdictAccept} }
func drop() expr.Any   { return &expr.Verdict{Kind: expr.VerdictDrop} }
func jump(chain string) expr.Any {
	return &expr.Verdict{Kind: expr.VerdictJump, Chain: chain}
}

func native(v uint32) []byte { return binaryutil.NativeEndian.PutUint32(v) }

func mask(bits int) []byte {
	return binaryutil.BigEndian.PutUint32(^uint32(0) << (32 - bits))
}
