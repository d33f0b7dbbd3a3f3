package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/smtp"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"postrider/dkim"
	"postrider/inbound"
	"postrider/outbound"
	"postrider/relay"
)

// sessionTime is how long a session with a host may take to its login.
const sessionTime = 30 * time.Second

// examineDNS asks each server, and how long it takes.
func (d *doctor) examineDNS(ctx context.Context) {
	servers := d.config.Outbound.DNS.Servers
	if len(servers) == 0 {
		servers = []string{""}
	}
	for _, server := range servers {
		o, name := outbound.DNSOptions{}, "the system's servers"
		if server != "" {
			o.Servers, name = []string{server}, server
		}
		ctx, cancel := context.WithTimeout(ctx, lookupTime)
		began := time.Now()
		_, err := newDNS(o).LookupNS(ctx, "org.")
		cancel()
		took := time.Since(began).Round(time.Millisecond)
		switch {
		case err != nil:
			d.fail("dns", "set dns.servers to ones that answer for all names", "%s: %v", name, err)
		case took > time.Second:
			d.warn("dns", "use a server that is near", "%s took %v", name, took)
		default:
			d.ok("dns", "%s answered in %v", name, took)
		}
	}
}

// examineRoutes has a session with each host of each route: TLS, a login, and no mail.
func (d *doctor) examineRoutes(ctx context.Context) {
	reached := false
	for _, r := range d.config.Outbound.Routes {
		r.Fallback = nil
		switch {
		case r.MX && (d.probe == "" || reached):
		case r.MX:
			reached = true
			d.examineSession(ctx, r, relay.Destination{Route: r.Name, Domain: d.probe}, "the mail servers of "+d.probe,
				"if nobody answers, port 25 is blocked here: ask the provider to open it, or send through a smart host")
		case r.Auth != nil && r.Auth.OAuth != nil:
			d.ok("route", "%s signs in with OAuth2: see postrider oauth status", r.Name)
		default:
			for _, host := range r.Hosts {
				one := r
				one.Hosts = []string{host}
				d.examineSession(ctx, one, relay.Destination{Route: r.Name}, host, "see the reply; mail of this route waits, or takes a way around it")
			}
		}
	}
}

func (d *doctor) examineSession(ctx context.Context, r outbound.Route, to relay.Destination, host, advice string) {
	const check = "route"
	ctx, cancel := context.WithTimeout(ctx, sessionTime)
	defer cancel()
	o := d.config.Outbound
	// What is learned and counted is the running relay's.
	o.Routes, o.STSDir, o.TLSReports = []outbound.Route{r}, "", nil
	transport, err := outbound.New(o)
	if err != nil {
		d.fail(check, "mend the route", "%s: %v", r.Name, err)
		return
	}
	site, err := transport.Resolve(ctx, to)
	if err != nil {
		d.fail(check, advice, "%s: %s: %v", r.Name, host, err)
		return
	}
	conn, err := transport.Dial(ctx, site)
	if err != nil {
		d.fail(check, advice, "%s: %s: %v", r.Name, host, err)
		return
	}
	name, addr := conn.Remote()
	what := "greets us"
	if r.Auth != nil {
		what = "has let us log in as " + r.Auth.User
	}
	d.ok(check, "%s: %s at %s %s", r.Name, name, addr, what)
	_ = conn.Close() // it has said all that was asked
}

// examineDomains looks for the records of the domains that mail is signed for.
func (d *doctor) examineDomains(ctx context.Context) {
	entries, err := dkim.List(d.config.DKIM)
	if err != nil {
		d.fail("dkim", "mend the keys", "%v", err)
		return
	}
	lookup := newDNS(d.config.Outbound.DNS).LookupTXT
	var domains []string
	for _, e := range entries {
		if !slices.Contains(domains, e.Domain) {
			domains = append(domains, e.Domain)
		}
		const advice = "publish what postrider dkim record shows"
		switch r := checkEntry(ctx, e, lookup); {
		case r.Publication == dkim.Published:
			d.ok("dkim", "%s is published", r.Name)
		case e.State == dkim.Active:
			d.fail("dkim", advice, "%s, which signs, is %s: %s", r.Name, r.Publication, r.Fault)
		case e.State == dkim.Pending:
			d.warn("dkim", advice, "%s, which is to sign, is %s: %s", r.Name, r.Publication, r.Fault)
		}
	}
	for _, domain := range domains {
		d.examineRecord(ctx, "spf", domain, "v=spf1", "publish who may send for the domain, such as: v=spf1 a:"+d.config.Hostname+" -all")
		d.examineRecord(ctx, "dmarc", "_dmarc."+domain, "v=DMARC1", "publish what to do with forgeries, such as: v=DMARC1; p=none; rua=mailto:postmaster@"+domain)
	}
}

// examineRecord wants exactly one record of a kind: with two, verifiers heed none (RFC 7208
// section 4.5, RFC 7489 section 6.6.3).
func (d *doctor) examineRecord(ctx context.Context, check, name, begins, advice string) {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	all, err := newDNS(d.config.Outbound.DNS).LookupTXT(ctx, name+".")
	var none *net.DNSError
	if err != nil && (!errors.As(err, &none) || !none.IsNotFound) {
		d.warn(check, "try again", "%s cannot be looked up: %v", name, err)
		return
	}
	all = slices.DeleteFunc(all, func(text string) bool {
		first, _, _ := strings.Cut(strings.ReplaceAll(text, ";", " "), " ")
		return !strings.EqualFold(first, begins)
	})
	switch len(all) {
	case 1:
		d.ok(check, "%s: %s", name, all[0])
	case 0:
		d.warn(check, advice, "%s has no record", name)
	default:
		d.fail(check, "leave one of them", "%s has %d records, so none counts", name, len(all))
	}
}

// examineOpenness looks for strangers who may relay: in the configuration, and by trying from an address
// of this host that is not allowed to.
func (d *doctor) examineOpenness(ctx context.Context) {
	const check = "open relay"
	for _, l := range d.config.Inbound.Listeners {
		allowed := d.config.Policy.Relay[l.Name]
		for _, n := range allowed {
			if wide(n) {
				d.fail(check, "name your own networks in allow", "%s lets %s relay", l.Name, n)
			}
		}
		if !d.running || strings.HasPrefix(l.Address, "unix:") || l.TLS.Mode == inbound.TLSImplicit || len(l.ProxyProtocol) > 0 {
			continue
		}
		if own := strangers(allowed); len(own) > 0 {
			d.tryRelay(ctx, l, own[0])
		} else {
			d.ok(check, "%s: no address of this host is a stranger's to try it from; allow says who may relay: %s", l.Name, networks(allowed))
		}
	}
}

func networks(all []netip.Prefix) string {
	if len(all) == 0 {
		return "nobody without AUTH"
	}
	texts := make([]string, len(all))
	for i, n := range all {
		texts[i] = n.String()
	}
	return strings.Join(texts, ", ")
}

// strangers are addresses of this host that are not in the networks.
func strangers(allowed []netip.Prefix) []netip.Addr {
	var all []netip.Addr
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		addr, ok := netip.AddrFromSlice(n.IP)
		addr = addr.Unmap()
		if ok && !addr.IsLoopback() && !addr.IsLinkLocalUnicast() && !slices.ContainsFunc(allowed, func(p netip.Prefix) bool { return p.Contains(addr) }) {
			all = append(all, addr)
		}
	}
	return all
}

// tryRelay asks a listener to relay from one of our addresses to somebody elsewhere, and leaves
// before any mail.
func (d *doctor) tryRelay(ctx context.Context, l inbound.Listener, own netip.Addr) {
	const check = "open relay"
	host, port, err := net.SplitHostPort(l.Address)
	if err != nil || port == "0" {
		return
	}
	if addr, err := netip.ParseAddr(host); host == "" || err == nil && addr.IsUnspecified() {
		host = own.String()
	}
	ctx, cancel := context.WithTimeout(ctx, sessionTime)
	defer cancel()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: own.AsSlice()}}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return // who cannot connect cannot relay
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	client, err := smtp.NewClient(conn, host)
	if err := errors.Join(err, conn.SetDeadline(deadline)); err != nil {
		return
	}
	err = client.Mail("doctor@example.com")
	if err == nil {
		err = client.Rcpt("open-relay-test@example.org")
	}
	var reply *textproto.Error
	switch {
	case err == nil:
		d.fail(check, "see postrider explain for that client", "%s relays for %s, which is not in allow", l.Name, own)
	case errors.As(err, &reply) && reply.Code >= 500:
		d.ok(check, "%s refuses %s: %s", l.Name, own, fmt.Sprintf("%d %s", reply.Code, reply.Msg))
	default:
		d.warn(check, "try again", "%s has not refused %s for good: %v", l.Name, own, err)
	}
}
