package relay_test

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
)

func TestClassText(t *testing.T) {
	t.Parallel()
	for _, word := range relay.ClassWords() {
		var c relay.Class
		if err := json.Unmarshal([]byte(`"`+word+`"`), &c); err != nil || c.String() != word || c == relay.ClassNone {
			t.Errorf("%q is read as %q, %v", word, c, err)
		}
	}
	var c relay.Class
	if err := c.UnmarshalText([]byte("spam")); err == nil {
		t.Error("a class that there is not was read")
	}
}

// The class of a reply decides when the delivery comes back, and whether a permanent reply ends it.
func TestClassDecides(t *testing.T) {
	for _, tt := range []struct {
		code        int
		class       relay.Class
		least, most time.Duration // of the wait; both zero: bounced
	}{
		{450, relay.ClassNone, 50 * time.Second, time.Minute},
		{450, relay.ClassHost, 50 * time.Second, time.Minute},
		{450, relay.ClassGreylisting, 5 * time.Minute, 15 * time.Minute},
		{452, relay.ClassQuota, 15 * time.Minute, time.Hour},
		{550, relay.ClassQuota, 0, 0},
		{550, relay.ClassPolicy, 0, 0},
		{550, relay.ClassRate, time.Minute, 10 * time.Minute},
		{535, relay.ClassAuth, time.Minute, 10 * time.Minute},
		{530, relay.ClassTLS, 50 * time.Second, time.Minute},
	} {
		t.Run(tt.class.String()+" "+reply(tt.code, "").String(), func(t *testing.T) {
			inTime(t, func(t *testing.T, r *rig) {
				r.options.Retry.Classes = relay.DefaultClassBackoffs()
				r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
					refused := reply(tt.code, "no")
					refused.Class = tt.class
					return relaytest.Answer(tr, refused)
				}
				r.start(t)
				r.send(t, "", "b@one.test")
				synctest.Wait()
				left := r.queued(t)
				if bounced := len(left) == 0; bounced != (tt.most == 0) {
					t.Fatalf("left %v", left)
				}
				for _, d := range left {
					if wait := time.Until(d.Due); wait < tt.least || wait > tt.most {
						t.Errorf("due in %v, want %v to %v", wait, tt.least, tt.most)
					}
				}
			})
		})
	}
}

// What is deferred for two reasons comes back at the earlier time.
func TestClassesOfOneDelivery(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Retry.Classes = relay.DefaultClassBackoffs()
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			a := relaytest.Answer(tr, reply(452, "full"))
			a.Replies[0].Class, a.Replies[1].Class = relay.ClassGreylisting, relay.ClassQuota
			return a
		}
		r.start(t)
		r.send(t, "a@example.com", "b@one.test", "c@one.test")
		synctest.Wait()
		left := r.queued(t)
		if len(left) != 1 || time.Until(left[0].Due) > 15*time.Minute {
			t.Errorf("left %v", left)
		}
	})
}

// T18: while a smart host refuses our credentials the mail waits behind the gate, with the reason,
// and the host is asked seldom; when they have been put right everything is delivered.
func credentialsHoldTheRoute(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		var refused atomic.Bool
		refused.Store(true)
		r.transport.SiteOf = func(relay.Destination) (*relay.Site, error) { return &relay.Site{Key: "smart", Smart: true}, nil }
		r.transport.OnDial = func(context.Context, *relay.Site) error {
			if !refused.Load() {
				return nil
			}
			said := relay.NewReply(451, relay.EnhancedCode{4, 7, 8}, "smtp.test said to AUTH: 535 5.7.8 no")
			said.Class = relay.ClassAuth
			return said
		}
		r.start(t)
		for range 20 {
			r.send(t, "a@example.com", "b@one.test")
		}
		after(time.Hour)
		if left := r.queued(t); len(left) != 20 || left[0].Attempts != 0 {
			t.Errorf("%d deliveries left after an hour, want 20 without an attempt", len(left))
		}
		if dials := r.transport.Dials("smart"); dials > 20 {
			t.Errorf("%d log-ins in an hour", dials)
		}
		gated := r.observer.AllGated()
		if len(gated) != 1 || gated[0].Reply.Class != relay.ClassAuth {
			t.Errorf("gates %+v", gated)
		}
		refused.Store(false)
		after(15 * time.Minute)
		if got := len(r.delivered()); got != 20 {
			t.Errorf("delivered %d of 20", got)
		}
	})
}
