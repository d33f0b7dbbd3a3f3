package relay_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
)

// An order's change waits for space on the disk, and whoever gave the order goes meanwhile. Nothing else is
// done with the delivery until it is known what became of that: no attempt, and no second change.
func TestOrderGivenUpWhileItsChangeWaits(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		var attempts atomic.Int32
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			attempts.Add(1)
			return relaytest.Answer(tr, reply(450, "later"))
		}
		h := &hooked{Spool: r.spool}
		r.spool = h
		r.start(t)
		o, err := relay.NewOperator(context.Background(), relay.OperatorOptions{Scheduler: r.scheduler, Notes: &relaytest.Notes{}})
		if err != nil {
			t.Fatal(err)
		}
		r.send(t, "a@example.com", "b@one.test")
		after(time.Second)
		space := make(chan struct{})
		h.settle = func(ctx context.Context) {
			select {
			case <-space:
			case <-ctx.Done():
			}
		}
		ctx, goAway := context.WithCancel(context.Background())
		done := make(chan relay.Tally)
		go func() {
			tally, _ := o.Do(ctx, relay.Order{Action: relay.ActionDelete, All: true, Author: "ann", Reason: "because"}, nil)
			done <- tally
		}()
		after(time.Second)
		goAway()
		after(time.Hour)
		if n := attempts.Load(); n != 1 {
			t.Errorf("%d attempts while the deletion waits, want the one before", n)
		}
		close(space)
		if tally := <-done; tally.Changed != 1 {
			t.Errorf("tally %+v, want one changed: that is what happened", tally)
		}
		after(time.Hour)
		if n := attempts.Load(); n != 1 {
			t.Errorf("%d attempts, want 1", n)
		}
		r.wantEmpty(t)
	})
}
