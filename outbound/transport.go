package outbound

import (
	"context"
	"crypto/tls"
	"fmt"
	"sync"
	"time"

	"postrider/relay"
)

// Transport implements relay.Transport. It is safe for use by several goroutines; the
// connections that it opens belong to one each.
type Transport struct {
	o        Options
	routes   map[string]*Route
	resolver resolver
	// tally counts what figures show.
	tally *tally
	// These are the hosts where encryption, pipelining, BDAT, and commands behind the end of a
	// message were seen to fail.
	noTLS, noPipelining, noChunking, noAhead *memory
	// selves are hosts that turned out to be us.
	selves selves
	// health is that of addresses.
	health   *health
	probes   *probes
	sessions tls.ClientSessionCache
	// sts is nil where no MTA-STS policies are looked for.
	sts *stsCache
	// replies says what refusals are about.
	replies *Classifier
	// detours are the ways that mail is led around.
	detours *detours
	// accounts have the access tokens.
	accounts *accounts
	// buffers hold what a transaction writes; a resting connection has none.
	buffers sync.Pool
}

var _ relay.Transport = (*Transport)(nil)

// tlsSessions is how many TLS sessions are kept for resumption.
const tlsSessions = 1000

// New returns a Transport. It needs no closing: connections are closed by those who opened
// them.
func New(o Options) (*Transport, error) {
	o.setDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	client, err := newDNSClient(&o)
	if err != nil {
		return nil, err
	}
	replies, err := NewClassifier(o.Replies)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errOptions, err)
	}
	resolver := newCache(client, o.DNS.CacheSize, o.Now)
	t := &Transport{
		o: o, routes: make(map[string]*Route),
		resolver:     resolver,
		tally:        resolver.tally,
		sts:          newSTSCache(&o, resolver),
		noTLS:        newMemory(o.Now),
		noPipelining: newMemory(o.Now),
		noChunking:   newMemory(o.Now),
		noAhead:      newMemory(o.Now),
		selves:       selves{known: newMemory(o.Now)},
		health:       newHealth(o.Now),
		probes:       newProbes(),
		sessions:     tls.NewLRUClientSessionCache(tlsSessions),
		replies:      replies,
		detours:      newDetours(&o),
		accounts:     newAccounts(&o),
	}
	t.buffers.New = func() any { return newBuffer() }
	var seen logins
	for _, r := range o.Routes {
		r.login = seen.number(r.Auth)
		t.addRoute(r)
	}
	return t, nil
}

// Resolve implements relay.Transport. A route that is not configured any more is temporary:
// the configuration may bring it back, or send its mail elsewhere.
func (t *Transport) Resolve(ctx context.Context, to relay.Destination) (*relay.Site, error) {
	r, ok := t.routes[to.Route]
	if !ok {
		return nil, saying(replyNoRoute, "Route %q is not configured", to.Route)
	}
	if ways := t.waysOf(r, to); len(ways) > 1 {
		return t.resolveWays(ctx, ways)
	}
	return t.resolveRoute(ctx, r, to.Domain)
}

func (t *Transport) resolveRoute(ctx context.Context, r *Route, domain string) (*relay.Site, error) {
	if r.MX {
		return t.resolveMX(ctx, r, domain)
	}
	return t.resolveSmart(ctx, r)
}

// memory keeps what was learned about hosts, for a time.
type memory struct {
	now func() time.Time

	mu    sync.Mutex
	until map[string]time.Time
}

const (
	// memoryFor is how long a bad experience with a host is acted upon.
	memoryFor = time.Hour
	// memorySize is how many hosts are remembered; beyond it everything is forgotten, which
	// costs one bad experience each.
	memorySize = 10_000
)

func newMemory(now func() time.Time) *memory {
	return &memory{now: now, until: make(map[string]time.Time)}
}

func (m *memory) remember(host string) { m.rememberFor(host, memoryFor) }

func (m *memory) rememberFor(host string, d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.until) >= memorySize {
		clear(m.until)
	}
	m.until[host] = m.now().Add(d)
}

func (m *memory) holds(host string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now().Before(m.until[host])
}
