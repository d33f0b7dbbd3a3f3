package relay_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
)

// The age of what waits for a destination is known without a look into the spool: while the way is
// shut it grows, whatever arrives later, and what is deferred does not count.
func TestOldest(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		var dead atomic.Bool
		r.transport.OnDial = func(context.Context, *relay.Site) error {
			if dead.Load() {
				return &relay.Reply{Code: 421, Text: "connection refused"}
			}
			return nil
		}
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			a := relaytest.OK(tr)
			if tr.Message.Envelope.Sender.Local == "grey" {
				a.Replies[0] = reply(450, "come back later")
			}
			return a
		}
		to := relay.Destination{Route: "test", Domain: "one.test"}
		waited := func() time.Duration {
			st, known := r.scheduler.StatusOf(to)
			if !known || st.Oldest.IsZero() {
				return -1
			}
			return time.Since(st.Oldest).Round(time.Minute)
		}
		r.start(t)
		if got := waited(); got != -1 {
			t.Errorf("nothing waits, for %s", got)
		}
		dead.Store(true)
		r.send(t, "a@one.example", "u@one.test")
		after(time.Hour)
		r.send(t, "b@two.example", "u@one.test")
		after(time.Hour)
		if got := waited(); got != 2*time.Hour {
			t.Errorf("the oldest has waited for %s, want 2h", got)
		}
		dead.Store(false)
		after(20 * time.Minute)
		r.send(t, "grey@one.example", "u@one.test")
		after(2 * time.Second)
		if got := waited(); got != -1 || len(r.queued(t)) != 1 {
			t.Errorf("one that is deferred has waited for %s, of %d", got, len(r.queued(t)))
		}
	})
}
