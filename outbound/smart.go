package outbound

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"postrider/relay"
)

// smartTimeout bounds the look-up of one smart host: the system's resolver has timeouts of its
// own, per server and attempt.
const smartTimeout = 30 * time.Second

// resolveSmart looks up a route's smart hosts. They are the operator's word: whatever is
// wrong with them is temporary, and no mail bounces for it (conformance C06).
func (t *Transport) resolveSmart(ctx context.Context, r *Route) (*relay.Site, error) {
	set := &hostSet{route: r}
	var faults []error
	for i, text := range r.Hosts {
		host, err := ParseHost(text)
		if err != nil {
			return nil, saying(replyNoSmart, "Host %q of route %s is not valid", text, r.Name).Because(err)
		}
		addrs, err := t.smartAddrs(ctx, host)
		if err != nil {
			faults = append(faults, err)
		}
		// A host without an address stays in the set, so that the key does not depend on
		// how DNS feels.
		set.hosts = append(set.hosts, hostAddrs{name: host.Name, port: host.Port, preference: uint16(i), addrs: addrs})
	}
	if len(faults) == len(r.Hosts) {
		return nil, saying(replyDNSFault, "Cannot look up the hosts of route %s for now", r.Name).Because(errors.Join(faults...))
	}
	now := t.o.Now()
	return set.site(now, now.Add(siteMin)), nil
}

func (t *Transport) smartAddrs(ctx context.Context, h Host) ([]netip.Addr, error) {
	if h.Addr.IsValid() {
		return []netip.Addr{h.Addr}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, smartTimeout)
	defer cancel()
	addrs, err := t.o.LookupHost(ctx, h.Name)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", h.Name, err)
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("look up %s: no address", h.Name)
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs, nil
}
