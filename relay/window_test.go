package relay_test

import (
	"context"
	"testing"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
)

// A site that leaves the end of every message unanswered is not blamed for it, and does not earn
// more connections with it either (T08).
func ambiguousGrowsNoWindow(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		open, most := 0, 0
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			r.gauge(func() { open++; most = max(most, open) })
			time.Sleep(time.Second)
			r.gauge(func() { open-- })
			a := relaytest.Answer(tr, reply(451, "lost after the end"))
			a.Ambiguous = true
			return a
		}
		r.start(t)
		for range 100 {
			r.send(t, "a@example.com", "b@one.test")
		}
		after(20 * time.Second)
		if most != 5 {
			t.Errorf("%d connections at once, want the 5 of the beginning", most)
		}
	})
}
