package outbound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// resolver answers a question about a name. An error means that nobody knows the answer for
// now; that there is no such name, or no such record, is an answer.
type resolver interface {
	lookup(ctx context.Context, q question) (answer, error)
}

// question asks for the records of one type, dns.TypeMX, TypeA, TypeAAAA, TypeTXT, TypeTLSA or
// TypeCNAME. The name is as toASCII gives it.
type question struct {
	name  string
	qtype uint16
}

// answer is what DNS says to a question. It is shared and must not be changed.
type answer struct {
	// exists is false when there is no such name (NXDOMAIN).
	exists bool
	mxs    []mx
	addrs  []netip.Addr
	txts   []string
	tlsas  []*dns.TLSA
	// alias is what the name turned out to stand for, by CNAMEs; "" where it stands for itself.
	alias string
	// dangling says that what alias stands for is not said.
	dangling bool
	// secure says that a resolver that we trust has validated the answer.
	secure  bool
	expires time.Time
}

// mx is a mail exchange. The host of a null MX is "".
type mx struct {
	host       string
	preference uint16
}

const (
	// maxRecords bounds what is taken from one answer: over TCP it can have thousands.
	maxRecords = 256
	// maxAliases bounds a chain of CNAMEs.
	maxAliases = 8
	// resolverRounds is how often a server that keeps silent is asked: UDP loses packets.
	resolverRounds = 2
	// edns0Size is what fits into a datagram without fragments (RFC 9715).
	edns0Size = 1232

	// The bounds of how long an answer that nothing exists is kept; the cap is well below the
	// three hours of RFC 2308 section 5, because a bounce cannot be taken back.
	negativeDefault = time.Minute
	negativeMax     = 15 * time.Minute
	positiveMax     = 24 * time.Hour
)

// dnsClient asks recursive servers over UDP, and over TCP where the answer does not fit.
type dnsClient struct {
	servers  []string
	trusted  bool
	udp, tcp *dns.Client
	now      func() time.Time
}

func newDNSClient(o *Options) (*dnsClient, error) {
	c := &dnsClient{
		trusted: o.DNS.Trusted,
		udp:     &dns.Client{Net: "udp", Timeout: o.DNS.Timeout, UDPSize: edns0Size},
		tcp:     &dns.Client{Net: "tcp", Timeout: o.DNS.Timeout},
		now:     o.Now,
	}
	for _, text := range o.DNS.Servers {
		server, err := serverAddress(text)
		if err != nil {
			return nil, fmt.Errorf("%w: DNS server %q: %w", errOptions, text, err)
		}
		c.servers = append(c.servers, server)
	}
	if len(c.servers) == 0 {
		c.servers = systemServers()
	}
	return c, nil
}

// systemServers are those of resolv.conf(5), which says that without one it is the local host.
func systemServers() []string {
	config, err := dns.ClientConfigFromFile("/etc/resolv.conf")
	if err != nil || len(config.Servers) == 0 {
		return []string{"127.0.0.1:53"}
	}
	var servers []string
	for _, s := range config.Servers {
		servers = append(servers, net.JoinHostPort(s, config.Port))
	}
	return servers
}

// lookup asks for the records of a name. A server may answer with an alias and leave its target to
// us: that there are no records is not said with that.
func (c *dnsClient) lookup(ctx context.Context, q question) (answer, error) {
	a, err := c.ask(ctx, q)
	for range maxAliases {
		if err != nil || !a.dangling {
			return a, err
		}
		var further answer
		further, err = c.ask(ctx, question{a.alias, q.qtype})
		further.secure = further.secure && a.secure
		if a.expires.Before(further.expires) {
			further.expires = a.expires
		}
		if further.alias == "" {
			further.alias = a.alias
		}
		a = further
	}
	return answer{}, fmt.Errorf("look up %s %s: more than %d aliases", dns.TypeToString[q.qtype], q.name, maxAliases)
}

// ask asks one server after the other. One that answered with a failure is not asked again.
func (c *dnsClient) ask(ctx context.Context, q question) (answer, error) {
	request := new(dns.Msg).SetQuestion(dns.Fqdn(q.name), q.qtype)
	request.SetEdns0(edns0Size, false)
	request.AuthenticatedData = c.trusted // RFC 6840 section 5.7
	var faults []error
	servers := c.servers
	for range resolverRounds {
		var silent []string
		for _, server := range servers {
			if err := ctx.Err(); err != nil {
				return answer{}, err
			}
			reply, err := c.exchange(ctx, request, server)
			if err != nil {
				faults = append(faults, fmt.Errorf("ask %s: %w", server, err))
				silent = append(silent, server)
				continue
			}
			a, err := c.read(q, reply)
			if err == nil {
				return a, nil
			}
			faults = append(faults, fmt.Errorf("ask %s: %w", server, err))
		}
		servers = silent
	}
	return answer{}, fmt.Errorf("look up %s %s: %w", dns.TypeToString[q.qtype], q.name, errors.Join(faults...))
}

// exchange asks one server, and again over TCP where the answer did not fit.
func (c *dnsClient) exchange(ctx context.Context, request *dns.Msg, server string) (*dns.Msg, error) {
	reply, err := c.exchangeOver(ctx, c.udp, request, server)
	if err == nil && reply.Truncated {
		reply, err = c.exchangeOver(ctx, c.tcp, request, server)
	}
	return reply, err
}

// exchangeOver closes the connection when the context ends, because the library looks at the
// context's deadline alone.
func (c *dnsClient) exchangeOver(ctx context.Context, client *dns.Client, request *dns.Msg, server string) (*dns.Msg, error) {
	co, err := client.DialContext(ctx, server)
	if err != nil {
		return nil, err
	}
	defer co.Close()
	defer context.AfterFunc(ctx, func() { co.Close() })()
	reply, _, err := client.ExchangeWithConnContext(ctx, request, co)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return reply, err
}

// read makes an answer of a server's reply. An error is a reply that is none.
func (c *dnsClient) read(q question, reply *dns.Msg) (answer, error) {
	if reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError {
		return answer{}, fmt.Errorf("answered %s", dns.RcodeToString[reply.Rcode])
	}
	if len(reply.Question) != 1 || !sameName(reply.Question[0].Name, q.name) || reply.Question[0].Qtype != q.qtype {
		return answer{}, errors.New("answered another question")
	}
	a := answer{exists: reply.Rcode == dns.RcodeSuccess, secure: c.trusted && reply.AuthenticatedData}
	ttl := a.take(q, reply.Answer)
	if a.empty() && a.alias != "" && q.qtype != dns.TypeCNAME {
		a.dangling = a.exists && !hasSOA(reply.Ns)
	}
	if a.empty() && !a.dangling {
		ttl = negativeTTL(reply.Ns)
	}
	a.expires = c.now().Add(min(ttl, positiveMax))
	return a, nil
}

// take collects the records of the name and of what it is an alias of, and returns the
// least time to live among them. An alias may come after its target.
func (a *answer) take(q question, rrs []dns.RR) time.Duration {
	rrs = rrs[:min(len(rrs), maxRecords)]
	name, ttl := q.name, positiveMax
	for range maxAliases {
		alias := ""
		for _, rr := range rrs {
			if rr == nil || !sameName(rr.Header().Name, name) {
				continue
			}
			if c, ok := rr.(*dns.CNAME); ok {
				alias = plainName(c.Target)
				a.alias = alias
			} else if !a.add(rr, q.qtype) {
				continue
			}
			ttl = min(ttl, time.Duration(rr.Header().Ttl)*time.Second)
		}
		if alias == "" || !a.empty() || q.qtype == dns.TypeCNAME {
			break
		}
		name = alias
	}
	return ttl
}

// add takes one record if it is of the type that was asked for.
func (a *answer) add(rr dns.RR, qtype uint16) bool {
	if rr.Header().Rrtype != qtype {
		return false
	}
	switch rr := rr.(type) {
	case *dns.MX:
		a.mxs = append(a.mxs, mx{plainName(rr.Mx), rr.Preference})
		return true
	case *dns.TLSA:
		a.tlsas = append(a.tlsas, rr)
		return true
	case *dns.TXT:
		a.txts = append(a.txts, strings.Join(rr.Txt, ""))
		return true
	case *dns.A:
		return a.addAddr(rr.A)
	case *dns.AAAA:
		return a.addAddr(rr.AAAA)
	}
	return false
}

func (a *answer) empty() bool { return len(a.mxs)+len(a.addrs)+len(a.txts)+len(a.tlsas) == 0 }

func (a *answer) addAddr(ip net.IP) bool {
	addr, ok := netip.AddrFromSlice(ip)
	if ok {
		a.addrs = append(a.addrs, addr.Unmap())
	}
	return ok
}

// hasSOA says that the servers of a zone vouch for there being nothing (RFC 2308 section 2.2).
func hasSOA(authority []dns.RR) bool {
	return slices.ContainsFunc(authority, func(rr dns.RR) bool { _, is := rr.(*dns.SOA); return is })
}

// negativeTTL is how long to believe that there is nothing (RFC 2308 section 5).
func negativeTTL(authority []dns.RR) time.Duration {
	for _, rr := range authority {
		if soa, ok := rr.(*dns.SOA); ok {
			return min(time.Duration(min(soa.Hdr.Ttl, soa.Minttl))*time.Second, negativeMax)
		}
	}
	return negativeDefault
}

func plainName(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

func sameName(fqdn, name string) bool { return strings.EqualFold(strings.TrimSuffix(fqdn, "."), name) }
