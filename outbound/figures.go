package outbound

import (
	"crypto/tls"
	"maps"
	"slices"
	"sync"
	"time"

	"postrider/relay"
)

// tally counts what figures show. Its keys are outcomes and TLS versions.
type tally struct {
	mu                  sync.Mutex
	lookups, handshakes map[string]int
	hits                int
	// asking is the time that all look-ups took.
	asking time.Duration
}

func newTally() *tally {
	return &tally{lookups: make(map[string]int), handshakes: make(map[string]int)}
}

// hit counts a question that the cache could answer.
func (t *tally) hit() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hits++
}

// asked counts a question to the servers.
func (t *tally) asked(a *answer, err error, took time.Duration) {
	outcome := "found"
	switch {
	case err != nil:
		outcome = "failed"
	case a.empty():
		outcome = "nothing"
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lookups[outcome]++
	t.asking += took
}

// handshake counts one by its version, or as failed.
func (t *tally) handshake(version string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.handshakes[version]++
}

// figures measures DNS and TLS.
func (t *tally) figures() []relay.Figure {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := []relay.Figure{
		{Name: "dns_cache_hits_total", Help: "Questions that the cache of DNS answered.", Grows: true, Value: float64(t.hits)},
		{Name: "dns_lookup_seconds_total", Help: "The time that DNS look-ups took, together.", Grows: true, Value: t.asking.Seconds()},
	}
	series := func(f relay.Figure, label string, counts map[string]int) {
		for _, name := range slices.Sorted(maps.Keys(counts)) {
			f.Labels, f.Value = []string{label, name}, float64(counts[name])
			all = append(all, f)
		}
	}
	series(relay.Figure{Name: "dns_lookups_total", Help: "DNS look-ups by outcome: found, nothing of the kind, or failed.", Grows: true}, "outcome", t.lookups)
	series(relay.Figure{Name: "outbound_tls_handshakes_total", Help: "TLS handshakes with next hops, by version, or failed.", Grows: true}, "version", t.handshakes)
	return all
}

// inherit goes on with the counts of another Transport. It is called before this one is used.
func (t *Transport) inherit(former *tally) {
	t.tally = former
	// One that was taken over counts there already, and is in use.
	if c, ok := t.resolver.(*cache); ok && c.tally != former {
		c.tally = former
	}
}

// versionName is that of relay.Origin: TLSv1.3.
func versionName(s tls.ConnectionState) string { return describeTLS(s)[:len("TLSv1.3")] }
