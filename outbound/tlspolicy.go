package outbound

import (
	"context"
	"slices"
	"strings"

	"postrider/relay"
)

// policed returns the route as the domain of the recipients wants it to be taken, and the hosts
// that it vouches for: all of them where it says nothing.
func (t *Transport) policed(ctx context.Context, r *Route, domain string, dnssec bool, hosts []hostAddrs) (*Route, []hostAddrs, *relay.Reply) {
	if r.optional {
		return r, hosts, nil
	}
	policy, ok := t.stsPolicy(ctx, r, domain)
	if !ok && !dnssec {
		return r, hosts, nil
	}
	// Each level of proof is a route of its own, so that connections are shared by equals only.
	strict := *r
	strict.authentic, strict.dnssec = true, dnssec
	if !ok {
		return &strict, hosts, nil
	}
	// DANE goes before MTA-STS at a host that has it (RFC 8461 section 2).
	strict.withoutDANE = TLSVerify
	if !r.TLS.Proves() { // else the route itself asks for no less
		strict.TLS = TLSVerify
	}
	hosts = slices.DeleteFunc(slices.Clone(hosts), func(h hostAddrs) bool { return !policy.allows(h.name) })
	if len(hosts) == 0 {
		t.reportUnnamed(r, domain, &policy)
		return nil, nil, saying(replyTLSPolicy, "The MTA-STS policy of %s names none of its mail exchanges", domain)
	}
	return &strict, hosts, nil
}

// stsPolicy finds the policy of a domain, where it is to be enforced.
func (t *Transport) stsPolicy(ctx context.Context, r *Route, domain string) (stsPolicy, bool) {
	if t.sts == nil || r.TLS == TLSNone {
		return stsPolicy{}, false
	}
	p, ok := t.sts.find(ctx, domain)
	return p, ok && p.Mode == stsEnforce
}

// proof names everything that a host had to prove for a connection of the route: those that
// differ in it share none (conformance T17).
func (r *Route) proof() string {
	text := r.TLS.String()
	if len(r.Fingerprints) > 0 {
		text += "=" + strings.Join(r.Fingerprints, ",")
	}
	for _, p := range []struct {
		is   bool
		word string
	}{{r.authentic, " authentic"}, {r.dnssec, " dnssec"}, {r.withoutDANE == TLSVerify, " or verify"}, {r.optional, " optional"}} {
		if p.is {
			text += p.word
		}
	}
	return text
}

// addRoute makes a route known. One by MX on which the operator leaves TLS to the domains of the
// recipients has a twin, for messages that want no regard for what those demand (RFC 8689 section 5).
func (t *Transport) addRoute(r Route) {
	if r.MX && (r.TLS == TLSMay || r.TLS == TLSDANE) {
		twin := r
		twin.Name, twin.TLS, twin.optional = relay.TLSOptionalRoute(r.Name), TLSMay, true
		t.routes[twin.Name] = twin.current()
		r.reported = true
	}
	t.routes[r.Name] = r.current()
}
