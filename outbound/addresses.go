package outbound

import (
	"net/netip"

	"postrider/relay"
)

// Addresses lists the hosts of a site as they resolve now, most preferred first, in the form
// mx.example[192.0.2.1]:25. A host without an address is left out.
func Addresses(site *relay.Site) []string {
	set, ok := site.Hosts.(*hostSet)
	if !ok {
		return nil
	}
	var list []string
	for _, h := range set.hosts {
		for _, addr := range h.addrs {
			to := remote{name: h.name, addr: netip.AddrPortFrom(addr, h.port)}
			list = append(list, to.String())
		}
	}
	return list
}
