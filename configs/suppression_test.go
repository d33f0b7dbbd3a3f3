package configs

import (
	"testing"
	"time"

	suppress "postrider/relay/suppression"
)

func TestSuppression(t *testing.T) {
	t.Parallel()
	fault := suppress.Terms{Most: -1}
	for text, want := range map[string]suppress.Terms{
		"":                                 {Scope: "global", Most: 100_000},
		"{keep: 90d}":                      {Keep: 90 * 24 * time.Hour, Scope: "global", Most: 100_000},
		"{keep: 1d, scope: sender_domain}": {Keep: 24 * time.Hour, Scope: "domain:", Most: 100_000},
		"{keep: 1h, scope: user, most: 5}": {Keep: time.Hour, Scope: "user:", Most: 5},
		"{keep: forever}":                  fault,
		"{scope: all}":                     fault,
		"{most: 0}":                        fault,
		"{most: 10000000}":                 fault,
	} {
		c, err := load("x.yaml", []byte("hostname: relay.example.com\ndata: /data\nsuppression: "+text+"\n"), Overrides{})
		got := fault
		if err == nil {
			got = c.Suppression
		}
		if got != want {
			t.Errorf("%s: got %+v, want %+v (%v)", text, got, want, err)
		}
	}
}
