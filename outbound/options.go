package outbound

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"postrider/outbound/tlsrpt"
	"postrider/relay"
)

// Options configure a Transport. The zero value of each field but Hostname and Routes
// means its default.
type Options struct {
	// Hostname is our name in EHLO, fully qualified, and how we know ourselves in an MX list.
	Hostname string
	// Routes are the ways that a destination can name.
	Routes []Route
	// DNS says how names are looked up for routes by MX.
	DNS DNSOptions
	// Listening are the addresses where we take mail ourselves, with their ports; an unspecified
	// address stands for all of Interfaces. An MX host there is us, whatever its name.
	Listening []netip.AddrPort
	// MXPort is the port of hosts that DNS names. Default 25.
	MXPort int
	// IdleTimeout is how long a connection may have rested and still be Usable. Closing a
	// resting connection is up to its owner. Default 1 minute: a peer may hang up after 5
	// (RFC 5321 section 4.5.3.2.7) and many do sooner.
	IdleTimeout time.Duration
	// MessagesPerConnection is how many messages a connection carries before it is no
	// longer Usable. Default 1000.
	MessagesPerConnection int
	// RecipientsPerTransaction is how many recipients one transaction carries. Default 100,
	// which every server must take (RFC 5321 section 4.5.3.1.8); at most 1000, so that a flight
	// of commands and its replies fit into the sockets.
	RecipientsPerTransaction int
	// Timeouts bound each phase of a session.
	Timeouts Timeouts
	// RootCAs verify the certificates of hosts. Default: those of the system.
	RootCAs *x509.CertPool

	// Replies are rules for what refusals are about, before those that are known.
	Replies []ReplyRule

	// STSDir is the directory of the MTA-STS policies of domains (RFC 8461). Without one none
	// are looked for.
	STSDir string
	// STSRefresh is how often Run looks for policies to renew. Default 1 hour.
	STSRefresh time.Duration
	// TLSReports counts what becomes of TLS for the domains of routes by MX; nil for nobody.
	TLSReports *tlsrpt.Ledger
	// HTTP reaches token endpoints and MTA-STS policies. Default: one that honours the proxy of the environment.
	HTTP *http.Client

	// Transcripts takes down what is said where somebody wants to read it; nil for nobody.
	Transcripts relay.Transcriber
	// Diverted, where it is set, is told when mail of a route goes around it, and when no longer. It
	// must not wait.
	Diverted func(Diversion)

	// Interfaces lists the addresses of this machine. Default net.InterfaceAddrs.
	Interfaces func() ([]net.Addr, error)
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Rand returns a number in [0, n) and shuffles hosts of equal preference. It must be
	// safe for use by several goroutines. Default rand.IntN.
	Rand func(n int) int
	// Dial opens connections to hosts. Default: that of a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// LookupHost finds the addresses of smart hosts. Default: that of a net.Resolver, which
	// knows the hosts file and search lists, and asks DNS.Servers where they are given.
	LookupHost func(ctx context.Context, host string) ([]netip.Addr, error)
}

// DNSOptions say whom to ask and what to believe.
type DNSOptions struct {
	// Servers are addresses with or without a port (53), tried in order. Default: those of
	// /etc/resolv.conf.
	Servers []string
	// Trusted says that the way to the servers is safe, so that their AD bit means
	// something (RFC 4035 section 4.9.3). Without it no answer counts as Secure.
	Trusted bool
	// AllowLoopback lets addresses from DNS be dialled that are loopback, link-local or
	// otherwise not for mail.
	AllowLoopback bool
	// Timeout bounds each question to one server. Default 5 seconds.
	Timeout time.Duration
	// CacheSize is how many answers are kept. Default 10,000.
	CacheSize int
}

// Timeouts bound the phases of a session. The defaults are those of RFC 5321 section
// 4.5.3.2; an answer that arrives a byte at a time does not extend them.
type Timeouts struct {
	// Connect bounds opening a connection to one address. Default 30 seconds.
	Connect time.Duration
	// Doubtful bounds opening a connection to an address where that failed last time, or that is
	// asked about what another host refused, while there are others. Default 5 seconds.
	Doubtful time.Duration
	// Greeting bounds the wait for the 220. Default 5 minutes.
	Greeting time.Duration
	// Hello bounds EHLO, STARTTLS with its handshake, and AUTH, each. Default 5 minutes.
	Hello time.Duration
	// Mail bounds the wait for the reply to MAIL. Default 5 minutes.
	Mail time.Duration
	// Rcpt bounds the wait for the reply to each RCPT. Default 5 minutes.
	Rcpt time.Duration
	// Data bounds the wait for the 354. Default 2 minutes.
	Data time.Duration
	// Block bounds each write of a piece of the message. Default 3 minutes.
	Block time.Duration
	// Dot bounds the wait for the reply to the final dot. Default 10 minutes: giving up
	// early makes duplicates.
	Dot time.Duration
	// Quit bounds QUIT. Default 1 second: nothing depends on its reply.
	Quit time.Duration
}

// maxRecipients bounds RecipientsPerTransaction.
const maxRecipients = 1000

// errOptions begins what New says about options that it cannot work with.
var errOptions = errors.New("outbound options")

func (o *Options) setDefaults() {
	setDefault(&o.MXPort, 25)
	setDefault(&o.IdleTimeout, time.Minute)
	setDefault(&o.MessagesPerConnection, 1000)
	setDefault(&o.RecipientsPerTransaction, 100)
	setDefault(&o.STSRefresh, time.Hour)
	setDefault(&o.DNS.Timeout, 5*time.Second)
	setDefault(&o.DNS.CacheSize, 10_000)
	o.Timeouts.setDefaults()
	if o.Interfaces == nil {
		o.Interfaces = net.InterfaceAddrs
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.IntN
	}
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{}
	}
	if o.Diverted == nil {
		o.Diverted = func(Diversion) {}
	}
	if o.LookupHost == nil {
		o.LookupHost = hostLookup(o.DNS)
	}
}

func (t *Timeouts) setDefaults() {
	setDefault(&t.Connect, 30*time.Second)
	setDefault(&t.Doubtful, 5*time.Second)
	setDefault(&t.Greeting, 5*time.Minute)
	setDefault(&t.Hello, 5*time.Minute)
	setDefault(&t.Mail, 5*time.Minute)
	setDefault(&t.Rcpt, 5*time.Minute)
	setDefault(&t.Data, 2*time.Minute)
	setDefault(&t.Block, 3*time.Minute)
	setDefault(&t.Dot, 10*time.Minute)
	setDefault(&t.Quit, time.Second)
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// validate reports every fault at once.
func (o *Options) validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("%w: "+format, append([]any{errOptions}, args...)...))
	}
	if o.Hostname == "" {
		fault("no hostname")
	}
	if o.MXPort < 1 || o.MXPort > 65535 {
		fault("MX port %d is not in 1 to 65535", o.MXPort)
	}
	if n := o.RecipientsPerTransaction; n < 1 || n > maxRecipients {
		fault("%d recipients per transaction are not in 1 to %d", n, maxRecipients)
	}
	names := make(map[string]bool)
	for i := range o.Routes {
		r := &o.Routes[i]
		if names[r.Name] {
			fault("two routes are named %q", r.Name)
		}
		names[r.Name] = true
		if err := r.Validate(); err != nil {
			fault("%w", err)
		}
		if name := cmp.Or(r.Hostname, o.Hostname); r.MX && !isQualified(name) {
			fault("route %q sends to other people's hosts, so the hostname must be a full name, not %q", r.Name, name)
		}
	}
	for i := range o.Routes {
		o.Routes[i].validateFallback(o.Routes, fault)
	}
	for _, s := range o.DNS.Servers {
		if _, err := serverAddress(s); err != nil {
			fault("DNS server %q: %w", s, err)
		}
	}
	return errors.Join(faults...)
}

// isQualified says whether a name can be shown to the Internet (conformance S06).
func isQualified(name string) bool {
	name = strings.TrimSuffix(name, ".")
	return strings.Contains(name, ".") && !strings.HasSuffix(strings.ToLower(name), ".localdomain")
}

// serverAddress completes the address of a DNS server with its port.
func serverAddress(text string) (string, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return net.JoinHostPort(addr.String(), "53"), nil
	}
	addr, err := netip.ParseAddrPort(text)
	if err != nil {
		return "", errors.New("not an address with or without a port")
	}
	return addr.String(), nil
}

// hostLookup returns the default look-up of smart-host names: with each of the configured
// servers until one knows, or as the system does it.
func hostLookup(o DNSOptions) func(context.Context, string) ([]netip.Addr, error) {
	if len(o.Servers) == 0 {
		return func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	return func(ctx context.Context, host string) ([]netip.Addr, error) {
		var faults []error
		for _, server := range o.Servers {
			addrs, err := lookupAt(ctx, server, host, o.Timeout)
			var fault *net.DNSError
			if err == nil || errors.As(err, &fault) && fault.IsNotFound {
				return addrs, err
			}
			faults = append(faults, err)
		}
		return nil, errors.Join(faults...)
	}
}

func lookupAt(ctx context.Context, server, host string, timeout time.Duration) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		address, err := serverAddress(server)
		if err != nil {
			return nil, err
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	return r.LookupNetIP(ctx, "ip", host)
}
