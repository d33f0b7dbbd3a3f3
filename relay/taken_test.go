package relay_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
)

// A site that refuses the fourth connection for their number is well with three: the gate stays open,
// nothing is shed, and no more are tried for an hour, nor after a restart.
func TestLearnsConnections(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Notes = &relaytest.Notes{}
		r.options.MessagesPerConnection = 50
		taken, refused, most := 3, 0, 0
		r.transport.OnDial = func(_ context.Context, site *relay.Site) error {
			most = max(most, r.transport.Open(site.Key))
			if r.transport.Open(site.Key) >= taken {
				refused++
				return &relay.Reply{Code: 421, Text: "too many connections", Class: relay.ClassRate}
			}
			return nil
		}
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			time.Sleep(100 * time.Millisecond)
			return relaytest.OK(tr)
		}
		n := 0
		deliver := func(within time.Duration) {
			for range 100 {
				n++
				r.send(t, "a@example.com", fmt.Sprintf("u%d@x.test", n))
			}
			after(within)
			if got := len(r.delivered()); got != n {
				t.Errorf("%d of %d delivered: three at once carry 30 a second", got, n)
			}
		}
		r.start(t)
		deliver(4 * time.Second)
		if refused == 0 || refused > 3 {
			t.Errorf("%d connections refused, want one round", refused)
		}
		before := refused
		pace, _ := r.scheduler.PaceOf(relay.Destination{Route: "test", Domain: "x.test"})
		if text := fmt.Sprint(pace.Limits); !strings.Contains(text, "connections that the site takes") {
			t.Errorf("limits %v do not tell of it", text)
		}
		deliver(4 * time.Second)
		r.stop()
		r.start(t)
		deliver(5 * time.Second)
		if refused != before {
			t.Errorf("%d more refused within the hour", refused-before)
		}
		after(2 * time.Hour)
		taken = 5
		deliver(time.Minute)
		deliver(time.Minute)
		if most != 5 {
			t.Errorf("%d connections at once in the end, want 5: it takes more now", most)
		}
		for _, g := range r.observer.AllGated() {
			t.Errorf("gate %+v", g)
		}
		r.wantEmpty(t)
	})
}
