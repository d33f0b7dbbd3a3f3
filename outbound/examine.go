package outbound

import (
	"net/netip"
	"time"

	"postrider/relay"
)

// Examine implements relay.Examiner: all addresses of the site's hosts, those that are preferred first.
func (t *Transport) Examine(site *relay.Site) (all []relay.AddressHealth) {
	set, ok := site.Hosts.(*hostSet)
	if !ok {
		return nil
	}
	for _, h := range set.hosts {
		for _, addr := range h.addrs {
			to := remote{name: h.name, addr: netip.AddrPortFrom(addr, h.port)}
			s := t.health.of(set.route.place(to.addr))
			all = append(all, relay.AddressHealth{Host: h.name, Addr: to.address(), Failures: s.failures, Until: s.until})
		}
	}
	return all
}

// of is how the address fares. Until is zero when it is not left for last.
func (h *health) of(at place) sickness {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.sick[at]
	if !s.until.After(h.now()) {
		s.until = time.Time{}
	}
	return s
}
