package outbound

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"postrider/outbound/tlsrpt"
)

const (
	// stsRecordTimeout bounds the look-up of the record, which must not hold up mail where a DNS
	// server keeps silent about it.
	stsRecordTimeout = 5 * time.Second
	// stsRefresh is after how long a policy is fetched again although its record is the same, so
	// that its life is extended long before its end (RFC 8461 section 3.3). Run does so earlier,
	// also for domains without mail; mail does where that failed.
	stsRefresh    = 24 * time.Hour
	stsRunRefresh = stsRefresh / 2
	// stsPause is how long a domain is left alone whose policy could not be fetched.
	stsPause = 5 * time.Minute
	// stsRemembered is how many domains are known in memory; the others are read from disk.
	stsRemembered = 10_000
)

// stsCache finds the policies of domains and keeps them on disk. A policy that was fetched
// once stands until it expires, whatever DNS and HTTPS say meanwhile: that is what keeps an
// attacker on the way from making us forget it (RFC 8461 section 10.2).
type stsCache struct {
	store    stsStore
	resolver resolver
	client   *http.Client
	now      func() time.Time

	mu    sync.Mutex
	known map[string]*stsEntry
}

// stsEntry is one domain. Its mutex is held while the policy is looked for, so that one asks
// for all.
type stsEntry struct {
	mu     sync.Mutex
	loaded bool
	policy stsPolicy
	// retry is when a fetch that failed may be tried again.
	retry time.Time
	// seen is what others may look at while the policy is looked for.
	seen atomic.Pointer[stsView]
}

// stsView is what is known of a domain's policy for reports.
type stsView struct {
	policy stsPolicy
	fault  stsFault
}

// stsFault is why a policy could not be had; its kind is "" where it could.
type stsFault struct {
	kind   tlsrpt.ResultType
	reason string
}

// newSTSCache returns nil where there is no directory: then no policies are looked for.
func newSTSCache(o *Options, r resolver) *stsCache {
	if o.STSDir == "" {
		return nil
	}
	client := *o.HTTP
	// A redirect would be somebody else's word (RFC 8461 section 3.3).
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &stsCache{
		store: stsStore{dir: o.STSDir, most: stsFiles}, resolver: r, client: &client, now: o.Now,
		known: make(map[string]*stsEntry),
	}
}

// find gives the policy that stands for a domain, whose name is as toASCII gives it.
func (c *stsCache) find(ctx context.Context, domain string) (stsPolicy, bool) {
	return c.look(ctx, domain, stsRefresh)
}

// look is find with a word on how old a policy may be that is not fetched again.
func (c *stsCache) look(ctx context.Context, domain string, old time.Duration) (stsPolicy, bool) {
	e, now := c.entry(domain), c.now()
	if v := e.seen.Load(); v == nil || !now.Before(v.policy.Expires) {
		e.mu.Lock()
	} else if !e.mu.TryLock() { // somebody renews it, for which mail need not wait
		return v.policy, true
	}
	defer e.mu.Unlock()
	if !e.loaded {
		e.policy, e.loaded = c.store.read(domain), true
	}
	fault := e.fault()
	if id, ok := c.record(ctx, domain); ok && !now.Before(e.retry) &&
		(id != e.policy.ID || !now.Before(e.policy.Fetched.Add(old)) || !now.Before(e.policy.Expires)) {
		p, err := c.fetch(ctx, domain, id)
		if fault = faultOf(err); err == nil {
			e.policy = p
			// Without the file the policy is as good until the next start.
			_ = c.store.write(domain, p, now)
		} else if ctx.Err() == nil {
			e.retry = now.Add(stsPause)
		}
	} else if !ok && !now.Before(e.policy.Expires) {
		fault = stsFault{}
	}
	e.seen.Store(&stsView{e.policy, fault})
	return e.policy, now.Before(e.policy.Expires)
}

// fault is why the policy could not be had last time.
func (e *stsEntry) fault() stsFault {
	if v := e.seen.Load(); v != nil {
		return v.fault
	}
	return stsFault{}
}

// view gives what is known of a domain's policy, without asking anybody: nil where none stands that
// says something.
func (c *stsCache) view(domain string) (*stsPolicy, stsFault) {
	if c == nil {
		return nil, stsFault{}
	}
	c.mu.Lock()
	e := c.known[domain]
	c.mu.Unlock()
	if e == nil {
		return nil, stsFault{}
	}
	v := e.seen.Load()
	switch {
	case v == nil:
		return nil, stsFault{}
	case v.policy.Mode == stsNone || !c.now().Before(v.policy.Expires):
		return nil, v.fault
	}
	return &v.policy, v.fault
}

func (c *stsCache) entry(domain string) *stsEntry {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.known[domain]
	if e == nil {
		for other := range c.known { // walked in random order
			if len(c.known) < stsRemembered {
				break
			}
			delete(c.known, other)
		}
		e = new(stsEntry)
		c.known[domain] = e
	}
	return e
}

// record looks for the id of the policy in DNS. That there is none now does not end one that
// was fetched.
func (c *stsCache) record(ctx context.Context, domain string) (string, bool) {
	ctx, cancel := context.WithTimeout(ctx, stsRecordTimeout)
	defer cancel()
	a, err := c.resolver.lookup(ctx, question{"_mta-sts." + domain, dns.TypeTXT})
	if err != nil {
		return "", false
	}
	return parseSTSRecord(a.txts)
}

// refresh renews the policies on disk that are getting old, so that none runs out for want of mail or
// while its host is away for a while, and removes those that have run out.
func (c *stsCache) refresh(ctx context.Context) error {
	domains, err := c.store.sweep(c.now())
	for domain, p := range domains {
		if ctx.Err() != nil {
			break
		}
		if !c.now().Before(p.Fetched.Add(stsRunRefresh)) {
			c.look(ctx, domain, stsRunRefresh)
		}
	}
	return err
}

// errSTS begins what is wrong with a policy, errSTSInvalid with one that was fetched.
var (
	errSTS        = errors.New("MTA-STS policy")
	errSTSInvalid = errors.New("invalid")
)
