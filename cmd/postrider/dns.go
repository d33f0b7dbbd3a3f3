package main

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"

	"postrider/outbound"
)

// newDNS looks names up at the servers of the configuration, one after the other, or the
// system's where it names none.
func newDNS(o outbound.DNSOptions) *net.Resolver {
	if len(o.Servers) == 0 {
		return &net.Resolver{PreferGo: true}
	}
	var next atomic.Uint32
	return &net.Resolver{PreferGo: true, StrictErrors: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		server := o.Servers[int(next.Add(1)-1)%len(o.Servers)]
		if addr, err := netip.ParseAddr(server); err == nil {
			server = netip.AddrPortFrom(addr, 53).String()
		}
		var d net.Dialer
		return d.DialContext(ctx, network, server)
	}}
}
