package egress

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// The messages an attachment is made of.
//
// Neither end of a pair asks for addresses by ARP: both hold one permanent entry for the other. Such entries do not count
// against the kernel's limit of 1,024 neighbours, which all namespaces share and a thousand sandboxes would pass.

const (
	inside      = "eth0"
	addrGenNone = 1 // IN6_ADDR_GEN_MODE_NONE
	operUp      = 6 // IF_OPER_UP
)

// gateway is where sandboxes send everything. Nobody has the address: it only leads to the other end of the pair.
var gateway = netip.AddrFrom4([4]byte{169, 254, 1, 1})

// hostMAC and sandboxMAC are locally administered addresses for the two ends of a sandbox's pair.
func hostMAC(a netip.Addr) net.HardwareAddr    { return mac(0x02, a) }
func sandboxMAC(a netip.Addr) net.HardwareAddr { return mac(0x06, a) }

func mac(first byte, a netip.Addr) net.HardwareAddr {
	b := a.As4()
	return net.HardwareAddr{first, 'm', b[0], b[1], b[2], b[3]}
}

// newPair makes a pair with its other end in the namespace of the descriptor ns.
func newPair(name string, a netip.Addr, mtu, ns int) request {
	q := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	q.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	q.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	q.AddData(nl.NewRtAttr(unix.IFLA_ADDRESS, hostMAC(a)))
	q.AddData(nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(mtu))))
	// More queues, one for each processor by default, would cost time and memory at each start.
	q.AddData(nl.NewRtAttr(unix.IFLA_NUM_TX_QUEUES, nl.Uint32Attr(1)))
	q.AddData(nl.NewRtAttr(unix.IFLA_NUM_RX_QUEUES, nl.Uint32Attr(1)))
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("veth"))
	peer := info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.VETH_INFO_PEER, nil)
	nl.NewIfInfomsgChild(peer, unix.AF_UNSPEC)
	peer.AddRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(inside))
	peer.AddRtAttr(unix.IFLA_ADDRESS, sandboxMAC(a))
	peer.AddRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(mtu)))
	peer.AddRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(ns)))
	peer.AddRtAttr(unix.IFLA_NUM_TX_QUEUES, nl.Uint32Attr(1))
	peer.AddRtAttr(unix.IFLA_NUM_RX_QUEUES, nl.Uint32Attr(1))
	q.AddData(info)
	return request{what: "make link " + name, msg: q}
}

// noIPv6 keeps the kernel from giving a link an IPv6 address. Where IPv6 is switched off there is nothing to do.
func noIPv6(index int) request {
	q := nl.NewNetlinkRequest(unix.RTM_SETLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	q.AddData(msg)
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	spec.AddRtAttr(unix.AF_INET6, nil).AddRtAttr(unix.IFLA_INET6_ADDR_GEN_MODE, nl.Uint8Attr(addrGenNone))
	q.AddData(spec)
	return request{what: "switch off IPv6", msg: q, gone: unix.EAFNOSUPPORT}
}

// up switches a link on, without ARP.
func up(index int) request {
	q := nl.NewNetlinkRequest(unix.RTM_NEWLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	msg.Flags, msg.Change = unix.IFF_UP|unix.IFF_NOARP, unix.IFF_UP|unix.IFF_NOARP
	q.AddData(msg)
	return request{what: "switch link on", msg: q}
}

// operational asks whether a link takes packets. One that was switched on before its peer does so only once the kernel's
// link watcher has come by, and drops them until then; asking calls it (since Linux 6.8).
func operational(index int, yes *bool) request {
	q := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	q.AddData(msg)
	return request{what: "look at link", msg: q, reply: func(body []byte) {
		attrs, err := nl.ParseRouteAttr(body[min(unix.SizeofIfInfomsg, len(body)):])
		for _, a := range attrs {
			*yes = *yes || err == nil && a.Attr.Type == unix.IFLA_OPERSTATE && len(a.Value) == 1 && a.Value[0] == operUp
		}
	}}
}

// addAddr gives a link its address, with no network around it.
func addAddr(index int, a netip.Addr) request {
	q := nl.NewNetlinkRequest(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	msg := nl.NewIfAddrmsg(unix.AF_INET)
	msg.Prefixlen, msg.Index = 32, uint32(index)
	q.AddData(msg)
	q.AddData(nl.NewRtAttr(unix.IFA_LOCAL, a.AsSlice()))
	q.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, a.AsSlice()))
	return request{what: "add address " + a.String(), msg: q}
}

// addNeighbour tells a link once and for all who has an address.
func addNeighbour(index int, a netip.Addr, mac net.HardwareAddr) request {
	q := nl.NewNetlinkRequest(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	msg := make(header, unix.SizeofNdMsg) // family, padding, index, state, flags, type
	msg[0] = unix.AF_INET
	binary.NativeEndian.PutUint32(msg[4:], uint32(index))
	binary.NativeEndian.PutUint16(msg[8:], unix.NUD_PERMANENT)
	q.AddData(msg)
	q.AddData(nl.NewRtAttr(unix.NDA_DST, a.AsSlice()))
	q.AddData(nl.NewRtAttr(unix.NDA_LLADDR, mac))
	return request{what: "add neighbour " + a.String(), msg: q}
}

// header is the fixed part of a message for which the library has no type.
type header []byte

func (h header) Len() int          { return len(h) }
func (h header) Serialize() []byte { return h }

// routeTo leads one address to a link. It fails with EEXIST when the address is somebody else's.
func routeTo(index int, a netip.Addr) request {
	q, msg := newRoute(unix.NLM_F_EXCL)
	msg.Dst_len, msg.Scope = 32, unix.RT_SCOPE_LINK
	q.AddData(nl.NewRtAttr(unix.RTA_DST, a.AsSlice()))
	q.AddData(nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(index))))
	return request{what: "add route to " + a.String(), msg: q}
}

// defaultRoute leads everything to the gateway.
func defaultRoute(index int) request {
	q, msg := newRoute(unix.NLM_F_REPLACE)
	msg.Flags = unix.RTNH_F_ONLINK
	q.AddData(nl.NewRtAttr(unix.RTA_GATEWAY, gateway.AsSlice()))
	q.AddData(nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(index))))
	return request{what: "add default route", msg: q}
}

func newRoute(flag int) (*nl.NetlinkRequest, *nl.RtMsg) {
	q := nl.NewNetlinkRequest(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|flag)
	msg := nl.NewRtMsg()
	msg.Family, msg.Protocol = unix.AF_INET, unix.RTPROT_STATIC
	q.AddData(msg)
	return q, msg
}

// setGroup puts a link into a group, which delGroup then removes as one. Removing one link or a hundred takes the kernel
// the same few RCU grace periods.
func setGroup(index int, group uint32) request {
	q := nl.NewNetlinkRequest(unix.RTM_SETLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	q.AddData(msg)
	q.AddData(nl.NewRtAttr(unix.IFLA_GROUP, nl.Uint32Attr(group)))
	return request{what: "mark link for removal", msg: q, gone: unix.ENODEV}
}

func delGroup(group uint32) request {
	q := nl.NewNetlinkRequest(unix.RTM_DELLINK, 0)
	q.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	q.AddData(nl.NewRtAttr(unix.IFLA_GROUP, nl.Uint32Attr(group)))
	return request{what: "remove links", msg: q, gone: unix.ENODEV}
}
