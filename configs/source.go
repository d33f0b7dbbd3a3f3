package configs

import (
	"fmt"
	"net"
	"net/netip"

	"postrider/outbound"
	"postrider/policy"
)

// source is an address that a route's connections come from.
type source struct {
	Address  string `yaml:"address"`
	Hostname string `yaml:"hostname"`
	Weight   int    `yaml:"weight"`
}

// name is that of the route by this source, where there are several.
func (s *source) name(r *route) string { return r.Name + "@" + s.Address }

// composeWays gives each source of a route a route of its own: its connections, bins and rates
// have nothing to do with the others'. A single one is the route itself, so that queued mail stays
// where it is when the source is given.
func (r *route) composeWays() ([]outbound.Route, []policy.Way) {
	if len(r.Providers) > 0 {
		return r.composeProviders()
	}
	composed := r.compose(&r.provider)
	if len(r.Source) <= 1 {
		return []outbound.Route{composed}, nil
	}
	var routes []outbound.Route
	var ways []policy.Way
	for i := range r.Source {
		s, one := &r.Source[i], composed
		one.Name = s.name(r)
		s.apply(&one)
		ways = append(ways, policy.Way{Name: one.Name, Weight: s.Weight})
		routes = append(routes, one)
	}
	return routes, ways
}

// apply makes the route's connections come from the source.
func (s *source) apply(r *outbound.Route) {
	r.Source, _ = netip.ParseAddr(s.Address)
	r.Hostname = s.Hostname
}

// checkSource looks at where the route's connections come from.
func (r *route) checkSource(rep *report, path string) {
	seen := make(map[netip.Addr]bool)
	for i, s := range r.Source {
		at := fmt.Sprintf("%s.source[%d]", path, i)
		addr, err := netip.ParseAddr(s.Address)
		switch {
		case err != nil:
			rep.fault(at+".address", "%q is not an IP address of this machine", s.Address)
		case seen[addr]:
			rep.fault(at+".address", "%s is given twice", addr)
		}
		seen[addr] = true
		if s.Weight < 0 {
			rep.fault(at+".weight", "%d is less than 1", s.Weight)
		}
		if s.Hostname != "" && !isQualified(s.Hostname) && r.leaves() {
			rep.fault(at+".hostname", "%q is not a full name, and mail leaves this host under it", s.Hostname)
		}
	}
	if r.SOCKS5 == "" {
		return
	}
	if len(r.Source) > 0 {
		rep.fault(path+".socks5", "has a source too: connections come from the proxy's address")
	}
	if host, port, err := net.SplitHostPort(r.SOCKS5); err != nil || host == "" || port == "" {
		rep.fault(path+".socks5", "%q is not host:port", r.SOCKS5)
	}
}
