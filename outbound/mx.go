package outbound

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"postrider/relay"
)

// maxHosts is how many hosts of an MX list are used, the best ones.
const maxHosts = 10

// What DNS can make of a destination. The permanent ones are those that DNS is certain of.
var (
	replyNoDomain  = relay.Reply{Code: 550, Enhanced: relay.EnhancedCode{5, 1, 2}}
	replyNullMX    = relay.Reply{Code: 556, Enhanced: relay.EnhancedCode{5, 1, 10}} // RFC 7505 section 4.2
	replyNoAddress = relay.Reply{Code: 550, Enhanced: relay.EnhancedCode{5, 4, 4}}
	replyLoop      = relay.Reply{Code: 554, Enhanced: relay.EnhancedCode{5, 4, 6}}
	replyDNSFault  = relay.Reply{Code: 451, Enhanced: relay.EnhancedCode{4, 4, 3}}
	replyNoSmart   = relay.Reply{Code: 451, Enhanced: relay.EnhancedCode{4, 3, 5}}
	replyNoRoute   = relay.Reply{Code: 451, Enhanced: relay.EnhancedCode{4, 3, 5}}
)

// saying returns a copy of the reply with a text.
func saying(r relay.Reply, format string, args ...any) *relay.Reply {
	r.Text = fmt.Sprintf(format, args...)
	return &r
}

// resolveMX finds the hosts for mail to a domain (RFC 5321 section 5.1).
func (t *Transport) resolveMX(ctx context.Context, r *Route, domain string) (*relay.Site, error) {
	if strings.HasPrefix(domain, "[") {
		return t.resolveLiteral(r, domain)
	}
	name, err := toASCII(domain)
	if err != nil {
		return nil, saying(replyNoDomain, "%q is not a domain", domain).Because(err)
	}
	list, err := t.resolver.lookup(ctx, question{name, dns.TypeMX})
	if err != nil {
		return nil, saying(replyDNSFault, "Cannot look up the mail exchanges of %s for now", name).Because(err)
	}
	mxs, reply := t.exchanges(name, list)
	if reply != nil {
		return nil, reply
	}
	found := t.lookupHosts(ctx, mxs)
	if len(found.hosts) == 0 {
		return nil, found.why(name, len(list.mxs) == 0)
	}
	hosts := t.beforeUs(found.hosts)
	if len(hosts) == 0 {
		return nil, saying(replyLoop, "Mail for %s loops back to an address of %s", name, t.o.Hostname)
	}
	expires := list.expires
	if found.expires.Before(expires) {
		expires = found.expires
	}
	r, hosts, reply = t.policed(ctx, r, name, list.secure, hosts)
	if reply != nil {
		return nil, reply
	}
	set := &hostSet{route: r, hosts: hosts, domain: name}
	site := set.site(t.o.Now(), expires)
	site.Moved = func() bool { return t.ours(set) }
	return site, nil
}

// resolveLiteral takes an address literal at its word, but not to ourselves.
func (t *Transport) resolveLiteral(r *Route, domain string) (*relay.Site, error) {
	addr, ok := relay.ParseLiteral(domain)
	if !ok {
		return nil, saying(replyNoDomain, "%q is not an address literal", domain)
	}
	if !t.dialable(addr) {
		return nil, saying(replyNoAddress, "%s is not an address for mail", domain)
	}
	if t.selves.holds(netip.AddrPortFrom(addr.Unmap(), uint16(t.o.MXPort))) {
		return nil, saying(replyLoop, "Mail for %s loops back to %s", domain, t.o.Hostname)
	}
	host := hostAddrs{name: addr.String(), port: uint16(t.o.MXPort), addrs: []netip.Addr{addr.Unmap()}}
	set := &hostSet{route: r, hosts: []hostAddrs{host}}
	now := t.o.Now()
	return set.site(now, now.Add(siteMax)), nil
}

// exchanges makes the list of hosts of an MX answer, best first, without us and those that
// are no better than us. No records at all make the domain its own exchange.
func (t *Transport) exchanges(domain string, list answer) ([]mx, *relay.Reply) {
	mxs := slices.Clone(list.mxs)
	if len(mxs) == 0 {
		mxs = []mx{{host: domain}}
	}
	// A null MX stands alone (RFC 7505 section 3); among others it is just not a host.
	mxs = slices.DeleteFunc(mxs, func(m mx) bool { return m.host == "" })
	if len(mxs) == 0 {
		return nil, saying(replyNullMX, "Domain %s does not accept mail (null MX)", domain)
	}
	slices.SortStableFunc(mxs, func(a, b mx) int { return int(a.preference) - int(b.preference) })
	own := slices.IndexFunc(mxs, func(m mx) bool { return sameName(t.o.Hostname, m.host) })
	if own >= 0 {
		limit := mxs[own].preference
		mxs = slices.DeleteFunc(mxs, func(m mx) bool { return m.preference >= limit })
	}
	if len(mxs) == 0 {
		return nil, saying(replyLoop, "Mail for %s loops back to %s", domain, t.o.Hostname)
	}
	mxs = slices.CompactFunc(mxs, func(a, b mx) bool { return a == b })
	return mxs[:min(len(mxs), maxHosts)], nil
}

// hostsFound is what the addresses of a list of hosts turned out to be.
type hostsFound struct {
	hosts   []hostAddrs
	expires time.Time
	// unknown is the first failure to find out, nil when DNS knew everything.
	unknown error
	// exists says that at least one name exists; barred, that one had addresses, but none
	// that may be dialled.
	exists, barred bool
}

// why says what is wrong when no host has an address.
func (f *hostsFound) why(domain string, implicit bool) *relay.Reply {
	switch {
	case f.unknown != nil:
		return saying(replyDNSFault, "Cannot look up the addresses of the hosts for %s for now", domain).Because(f.unknown)
	case f.barred:
		return saying(replyNoAddress, "The hosts for %s have only addresses that mail must not go to", domain)
	case implicit && !f.exists:
		return saying(replyNoDomain, "Domain %s does not exist", domain)
	case implicit:
		return saying(replyNoAddress, "Domain %s has neither mail exchanges nor an address", domain)
	}
	return saying(replyNoAddress, "None of the mail exchanges of %s has an address", domain)
}

// lookupHosts asks for the addresses of all hosts at once, of both families.
func (t *Transport) lookupHosts(ctx context.Context, mxs []mx) *hostsFound {
	qtypes := []uint16{dns.TypeAAAA, dns.TypeA}
	answers := make([]answer, len(mxs)*len(qtypes))
	faults := make([]error, len(answers))
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			q := question{mxs[i/len(qtypes)].host, qtypes[i%len(qtypes)]}
			answers[i], faults[i] = t.resolver.lookup(ctx, q)
		})
	}
	wg.Wait()
	found := &hostsFound{}
	for i, m := range mxs {
		host := hostAddrs{name: m.host, port: uint16(t.o.MXPort), preference: m.preference}
		for j := range qtypes {
			found.merge(&host, answers[i*len(qtypes)+j], faults[i*len(qtypes)+j], t.dialable)
		}
		if len(host.addrs) > 0 {
			found.hosts = append(found.hosts, host)
		}
	}
	return found
}

// merge adds one answer about a host.
func (f *hostsFound) merge(host *hostAddrs, a answer, fault error, dialable func(netip.Addr) bool) {
	if fault != nil {
		if f.unknown == nil {
			f.unknown = fault
		}
		return
	}
	f.exists = f.exists || a.exists
	// That a host lacks one of the families is no reason to ask again soon.
	if len(a.addrs) > 0 && (f.expires.IsZero() || a.expires.Before(f.expires)) {
		f.expires = a.expires
	}
	for _, addr := range a.addrs {
		if dialable(addr) {
			host.addrs = append(host.addrs, addr)
		} else {
			f.barred = true
		}
	}
}

// dialable says whether mail may go to an address that came from DNS: a stranger's record
// must not point us at ourselves or into our network's plumbing (conformance C09).
func (t *Transport) dialable(addr netip.Addr) bool {
	if t.o.DNS.AllowLoopback {
		return true
	}
	addr = addr.Unmap()
	inThisNetwork := addr.Is4() && (addr.As4()[0] == 0 || addr.As4()[0] >= 240) // RFC 1122 section 3.2.1.3, RFC 1112 section 4
	return !inThisNetwork && !addr.IsLoopback() && !addr.IsUnspecified() && !addr.IsMulticast() && !addr.IsLinkLocalUnicast()
}
