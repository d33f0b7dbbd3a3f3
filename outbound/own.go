package outbound

import (
	"net"
	"net/netip"
	"slices"
)

// beforeUs drops hosts that are us, by their addresses, and all that are no better (RFC 5321
// section 5.1): mail given to those comes back to us.
func (t *Transport) beforeUs(hosts []hostAddrs) []hostAddrs {
	if !slices.ContainsFunc(t.o.Listening, func(l netip.AddrPort) bool { return int(l.Port()) == t.o.MXPort }) {
		return hosts // another server on this machine may be there
	}
	own := t.interfaces()
	limit := -1
	for _, h := range hosts {
		if slices.ContainsFunc(h.addrs, func(a netip.Addr) bool { return t.listensAt(a, h.port, own) }) && (limit < 0 || int(h.preference) < limit) {
			limit = int(h.preference)
		}
	}
	if limit < 0 {
		return hosts
	}
	return slices.DeleteFunc(hosts, func(h hostAddrs) bool { return int(h.preference) >= limit })
}

// listensAt says whether a connection to the address would reach us.
func (t *Transport) listensAt(addr netip.Addr, port uint16, own []netip.Addr) bool {
	return slices.ContainsFunc(t.o.Listening, func(l netip.AddrPort) bool {
		if l.Port() != port {
			return false
		}
		return l.Addr().Unmap() == addr || l.Addr().IsUnspecified() && slices.Contains(own, addr)
	})
}

// interfaces are the addresses of this machine now; none where the system does not say.
func (t *Transport) interfaces() []netip.Addr {
	list, err := t.o.Interfaces()
	if err != nil {
		return nil
	}
	var own []netip.Addr
	for _, a := range list {
		if n, ok := a.(*net.IPNet); ok {
			if addr, ok := netip.AddrFromSlice(n.IP); ok {
				own = append(own, addr.Unmap())
			}
		}
	}
	return own
}
