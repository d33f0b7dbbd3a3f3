package outbound

import (
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
)

// beforeUs drops hosts that are us, by their addresses, and all that are no better (RFC 5321
// section 5.1): mail given to those comes back to us.
func (t *Transport) beforeUs(hosts []hostAddrs) []hostAddrs {
	var own []netip.Addr
	listening := slices.ContainsFunc(t.o.Listening, func(l netip.AddrPort) bool { return int(l.Port()) == t.o.MXPort })
	if listening { // else another server on this machine may be there
		own = t.interfaces()
	}
	limit := -1
	for _, h := range hosts {
		us := slices.ContainsFunc(h.addrs, func(a netip.Addr) bool {
			return listening && t.listensAt(a, h.port, own) || t.selves.holds(netip.AddrPortFrom(a, h.port))
		})
		if us && (limit < 0 || int(h.preference) < limit) {
			limit = int(h.preference)
		}
	}
	if limit < 0 {
		return hosts
	}
	return slices.DeleteFunc(hosts, func(h hostAddrs) bool { return int(h.preference) >= limit })
}

// selfFor is how long a host that has greeted with our name is taken for us: longer than a site
// stands, so that the next resolution knows.
const selfFor = 2 * siteMax

// selves are the addresses of hosts by MX that have greeted with our own name (conformance C04).
type selves struct {
	known *memory
	// any says that there was one, ever: mostly there is none, and the question comes often.
	any atomic.Bool
}

func (s *selves) remember(addr netip.AddrPort) {
	s.known.rememberFor(addr.String(), selfFor)
	s.any.Store(true)
}

func (s *selves) holds(addr netip.AddrPort) bool { return s.any.Load() && s.known.holds(addr.String()) }

// ours says whether one of the set's hosts turned out to be us, so that the domain has to be looked at
// again.
func (t *Transport) ours(set *hostSet) bool {
	return t.selves.any.Load() && slices.ContainsFunc(set.hosts, func(h hostAddrs) bool {
		return slices.ContainsFunc(h.addrs, func(a netip.Addr) bool { return t.selves.holds(netip.AddrPortFrom(a, h.port)) })
	})
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
