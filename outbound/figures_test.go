package outbound

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Look-ups are counted by what came of them, with the time that they took, and what the cache
// knows as hits.
func TestFiguresOfDNS(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeResolver{ttl: time.Minute, wait: 2 * time.Second}
		c := newCache(f, 10, time.Now)
		for _, name := range []string{"a", "a", "a", "b"} {
			if _, err := c.lookup(t.Context(), question{name: name}); err != nil {
				t.Fatal(err)
			}
		}
		f.set(func(f *fakeResolver) { f.err = errors.New("SERVFAIL") })
		if _, err := c.lookup(t.Context(), question{name: "c"}); err == nil {
			t.Fatal("no error")
		}
		c.tally.handshake("TLSv1.2")
		got := make(map[string]float64)
		for _, f := range c.tally.figures() {
			got[f.Name+" "+strings.Join(f.Labels, "=")] = f.Value
		}
		for name, want := range map[string]float64{
			"dns_cache_hits_total ":                         2,
			"dns_lookup_seconds_total ":                     6,
			"dns_lookups_total outcome=found":               2,
			"dns_lookups_total outcome=failed":              1,
			"outbound_tls_handshakes_total version=TLSv1.2": 1,
		} {
			if got[name] != want {
				t.Errorf("%s is %v, want %v; all: %v", name, got[name], want, got)
			}
		}
	})
}
