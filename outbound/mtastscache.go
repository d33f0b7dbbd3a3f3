package outbound

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	// stsTimeout bounds fetching a policy, stsMaxBytes its size (RFC 8461 section 3.3).
	stsTimeout  = 15 * time.Second
	stsMaxBytes = 64 << 10
	// stsRecordTimeout bounds the look-up of the record, which must not hold up mail where a DNS
	// server keeps silent about it.
	stsRecordTimeout = 5 * time.Second
	// stsRefresh is after how long a policy is fetched again although its record is the same, so
	// that its life is extended long before its end (RFC 8461 section 3.3).
	stsRefresh = 24 * time.Hour
	// stsPause is how long a domain is left alone whose policy could not be fetched.
	stsPause = 5 * time.Minute
	// stsRemembered is how many domains are known in memory; the others are read from disk.
	stsRemembered = 10_000
)

// stsCache finds the policies of domains and keeps them on disk. A policy that was fetched
// once stands until it expires, whatever DNS and HTTPS say meanwhile: that is what keeps an
// attacker on the way from making us forget it (RFC 8461 section 10.2).
type stsCache struct {
	dir      string
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
}

// newSTSCache returns nil where there is no directory: then no policies are looked for.
func newSTSCache(o *Options, r resolver) *stsCache {
	if o.STSDir == "" {
		return nil
	}
	client := *o.HTTP
	// A redirect would be somebody else's word (RFC 8461 section 3.3).
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &stsCache{dir: o.STSDir, resolver: r, client: &client, now: o.Now, known: make(map[string]*stsEntry)}
}

// find gives the policy that stands for a domain, whose name is as toASCII gives it.
func (c *stsCache) find(ctx context.Context, domain string) (stsPolicy, bool) {
	e := c.entry(domain)
	e.mu.Lock()
	defer e.mu.Unlock()
	now := c.now()
	if !e.loaded {
		e.policy, e.loaded = c.read(domain), true
	}
	if id, ok := c.record(ctx, domain); ok && !now.Before(e.retry) &&
		(id != e.policy.ID || !now.Before(e.policy.Fetched.Add(stsRefresh)) || !now.Before(e.policy.Expires)) {
		if p, err := c.fetch(ctx, domain, id); err == nil {
			e.policy = p
			// Without the file the policy is as good until the next start.
			_ = c.write(domain, p)
		} else {
			e.retry = now.Add(stsPause)
		}
	}
	return e.policy, now.Before(e.policy.Expires)
}

func (c *stsCache) entry(domain string) *stsEntry {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.known[domain]
	if e == nil {
		if len(c.known) >= stsRemembered {
			clear(c.known)
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

// fetch gets the policy over HTTPS with a certificate that proves the name.
func (c *stsCache) fetch(ctx context.Context, domain, id string) (stsPolicy, error) {
	ctx, cancel := context.WithTimeout(ctx, stsTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://mta-sts."+domain+"/.well-known/mta-sts.txt", nil)
	if err != nil {
		return stsPolicy{}, err
	}
	response, err := c.client.Do(request)
	if err != nil {
		return stsPolicy{}, err
	}
	defer response.Body.Close()
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if response.StatusCode != http.StatusOK || kind != "text/plain" {
		return stsPolicy{}, fmt.Errorf("%w of %s: answered %s, %q", errSTS, domain, response.Status, kind)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, stsMaxBytes+1))
	if err != nil {
		return stsPolicy{}, err
	}
	if len(text) > stsMaxBytes {
		return stsPolicy{}, fmt.Errorf("%w of %s: over %d bytes", errSTS, domain, stsMaxBytes)
	}
	p, err := parsePolicy(string(text), c.now())
	p.ID = id
	return p, err
}

// file is where a domain's policy is kept. Names of domains have no slash; that the name begins
// with a letter or digit is all that is left to see to.
func (c *stsCache) file(domain string) string { return filepath.Join(c.dir, "of-"+domain+".json") }

// read gives the policy on disk, or the zero one, which has expired.
func (c *stsCache) read(domain string) stsPolicy {
	var p stsPolicy
	text, err := os.ReadFile(c.file(domain))
	if err != nil || json.Unmarshal(text, &p) != nil {
		return stsPolicy{}
	}
	return p
}

func (c *stsCache) write(domain string, p stsPolicy) error {
	if strings.ContainsRune(domain, filepath.Separator) {
		return fmt.Errorf("%w: %q is not a domain", errSTS, domain)
	}
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	return replaceFile(c.file(domain), text)
}
