package outbound

import (
	"context"
	"slices"

	"postrider/relay"
)

// policed returns the route as the domain of the recipients wants it to be taken, and the hosts
// that it vouches for: all of them where it says nothing.
func (t *Transport) policed(ctx context.Context, r *Route, domain string, mxSecure bool, hosts []hostAddrs) (*Route, []hostAddrs, *relay.Reply) {
	policy, ok := t.stsPolicy(ctx, r, domain)
	if !ok && !mxSecure {
		return r, hosts, nil
	}
	// Each level of proof is a route of its own, so that connections are shared by equals only.
	strict := *r
	strict.authentic = true
	if !ok {
		return &strict, hosts, nil
	}
	strict.TLS = TLSVerify
	hosts = slices.DeleteFunc(slices.Clone(hosts), func(h hostAddrs) bool { return !policy.allows(h.name) })
	if len(hosts) == 0 {
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
