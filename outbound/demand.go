package outbound

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"postrider/relay"
)

// Demands says, for each host of a site that Resolve has given, what a session with it has to
// prove as things stand, and on whose word: the route's, the MTA-STS policy's of the domain
// (RFC 8461) or the host's TLSA records' (RFC 7672), which are looked up. It is for people.
func (t *Transport) Demands(ctx context.Context, site *relay.Site) []string {
	set, ok := site.Hosts.(*hostSet)
	if !ok {
		return nil
	}
	var list []string
	if text := t.stsWords(set); text != "" {
		list = append(list, text)
	}
	for _, h := range set.hosts {
		if text := h.name + ": " + t.demand(ctx, set, h); !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	return list
}

// stsWords is what the domain's policy says; "" where mail has no regard for one.
func (t *Transport) stsWords(set *hostSet) string {
	if t.sts == nil || set.domain == "" || set.route.optional || set.route.TLS == TLSNone {
		return ""
	}
	policy, fault := t.sts.view(set.domain)
	switch {
	case policy != nil:
		return fmt.Sprintf("MTA-STS policy of %s: %s", set.domain, policy.Mode)
	case fault.kind != "":
		return fmt.Sprintf("MTA-STS policy of %s: cannot be had (%s): %s", set.domain, fault.kind, fault.reason)
	}
	return fmt.Sprintf("MTA-STS policy of %s: none", set.domain)
}

// demand is the level for a host, with the reason where that is not the route alone.
func (t *Transport) demand(ctx context.Context, set *hostSet, h hostAddrs) string {
	r := set.route
	by := ""
	if r.withoutDANE == TLSVerify {
		by = ", by MTA-STS"
	}
	if r.TLS != TLSDANE {
		return r.TLS.String() + by
	}
	if r.MX && !r.dnssec {
		return r.withoutDANE.String() + by + "; no DANE, as DNSSEC does not vouch for the MX records"
	}
	var addr netip.Addr
	if len(h.addrs) > 0 {
		addr = h.addrs[0]
	}
	_, found, err := t.lookupTLSA(ctx, remote{name: h.name, addr: netip.AddrPortFrom(addr, h.port), domain: set.domain})
	fit := 0
	for _, rr := range found {
		if _, ok := usable(rr); ok {
			fit++
		}
	}
	switch {
	case err != nil:
		return fmt.Sprintf("left out, as its TLSA records cannot be looked up: %s", err)
	case fit > 0:
		return fmt.Sprintf("%s, by %d TLSA records", TLSDANE, fit)
	case len(found) > 0:
		return fmt.Sprintf("%s%s; none of its %d TLSA records can be used", max(TLSEncrypt, r.withoutDANE), by, len(found))
	case !r.MX:
		return "left out, as it has no TLSA record that DNSSEC vouches for"
	}
	return r.withoutDANE.String() + by + "; it has no TLSA record that DNSSEC vouches for"
}
