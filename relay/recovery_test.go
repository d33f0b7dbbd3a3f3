package relay_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
)

// A host that is dead costs one probe at a time however many of its site's mail is queued, and what was
// queued over a restart all leaves when it is back.
func TestQueueForDeadHostLeavesAfterRestart(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Notes = &relaytest.Notes{}
		dead := true
		r.transport.SiteOf = func(relay.Destination) (*relay.Site, error) { return &relay.Site{Key: "hub", Smart: true}, nil }
		r.transport.OnDial = func(context.Context, *relay.Site) (err error) {
			r.gauge(func() {
				if refused := reply(451, "refused"); dead {
					err = &refused
				}
			})
			return err
		}
		r.start(t)
		for i := range 500 {
			r.send(t, "a@example.com", fmt.Sprintf("u%d@d%d.test", i, i%20))
		}
		after(time.Hour)
		r.stop()
		r.start(t)
		r.gauge(func() { dead = false })
		after(10 * time.Second)
		r.wantEmpty(t)
		if n := len(r.delivered()); n != 500 {
			t.Errorf("%d of 500 delivered within 10 s", n)
		}
	})
}

// Many destinations have their mail at one host. While it is dead, one probe at a time looks for it on
// behalf of all: a destination that is new there is no reason to try, and no failure more.
func TestManyDestinationsOfDeadHost(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		var alive atomic.Bool
		r.transport.SiteOf = func(relay.Destination) (*relay.Site, error) {
			return &relay.Site{Key: "mx", Expires: time.Now().Add(time.Hour), Moved: func() bool { return false }}, nil
		}
		r.transport.OnDial = func(context.Context, *relay.Site) error {
			if !alive.Load() {
				return relay.NewReply(451, relay.EnhancedCode{4, 4, 1}, "connection refused")
			}
			return nil
		}
		r.start(t)
		for i := range 1000 {
			r.send(t, "a@example.com", fmt.Sprintf("u%d@d%d.test", i, i%200))
			after(10 * time.Millisecond)
		}
		if n := r.transport.Dials("mx"); n > 3 {
			t.Errorf("%d dials of a dead host in ten seconds, for 200 destinations", n)
		}
		alive.Store(true)
		after(15 * time.Second)
		if n := len(r.delivered()); n != 1000 {
			t.Errorf("%d of 1000 delivered, the host having been back for as long as it was away", n)
		}
		r.wantEmpty(t)
	})
}

// What sick's site does.
const (
	busy = iota
	hangsUp
	well
)

// sick has a site that is too busy for every message, then hangs up on every message, and then is well,
// and a retry schedule that would let what it deferred wait for hours.
func (r *rig) sick() (does *atomic.Int32) {
	does = new(atomic.Int32)
	r.options.Retry = relay.Retry{First: 4 * time.Hour, Factor: 1, Max: 4 * time.Hour, MaxAge: 48 * time.Hour}
	r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
		time.Sleep(100 * time.Millisecond)
		switch local := tr.Recipients[0].Address.Local; {
		case local == "full":
			full := reply(452, "mailbox full")
			full.Class = relay.ClassQuota
			return relaytest.Answer(tr, full)
		case local == "odd":
			return relaytest.Answer(tr, relay.Reply{Code: 451, Class: relay.ClassHost, Text: "something about this one"})
		case does.Load() == busy:
			return relaytest.Answer(tr, relay.Reply{Code: 451, Class: relay.ClassHost, Text: "busy"})
		case does.Load() == hangsUp:
			a := relaytest.Answer(tr, relay.Reply{Code: 421, Class: relay.ClassHost, Text: "closing"})
			a.Setback = true
			return a
		}
		return relaytest.OK(tr)
	}
	return does
}

// What a sick host deferred leaves soon after it is well, hours before its time. What was deferred for
// another reason waits, and so does what is deferred once more.
func TestDeferredIsPulledEarly(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		does := r.sick()
		r.start(t)
		r.send(t, "a@example.com", "full@one.test")
		r.send(t, "a@example.com", "odd@one.test")
		after(time.Minute)
		const n = 600
		for i := range n {
			if i == n-10 {
				after(time.Minute)
				does.Store(hangsUp)
			}
			r.send(t, "a@example.com", fmt.Sprintf("u%d@one.test", i))
		}
		after(time.Hour)
		deferred := 0
		for _, d := range r.queued(t) {
			deferred += min(d.Attempts, 1)
		}
		if deferred < n-5 {
			t.Fatalf("%d of %d were deferred: that proves little", deferred, n+2)
		}
		attempts := len(r.observer.AllAttempted())
		does.Store(well)
		r.send(t, "a@example.com", "fresh@one.test")
		after(20 * time.Minute)
		left := r.queued(t)
		if len(r.delivered()) != n+1 || len(left) != 2 {
			t.Errorf("%d of %d delivered, %d left", len(r.delivered()), n, len(left))
		}
		if more := len(r.observer.AllAttempted()) - attempts; more > n+2 {
			t.Errorf("%d attempts after the recovery: what is deferred again is pulled again", more)
		}
		for _, f := range r.observer.AllFaults() {
			t.Errorf("fault: %s: %v", f.Doing, f.Err)
		}
	})
}

// A host that is back is not run down by all that waited: one connection at first, and more as it
// takes mail.
func TestRecoveryRampsUp(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		var alive atomic.Bool
		open, most := 0, 0
		r.transport.OnDial = func(context.Context, *relay.Site) error {
			if !alive.Load() {
				return relay.NewReply(451, relay.EnhancedCode{4, 4, 1}, "connection refused")
			}
			return nil
		}
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			r.gauge(func() { open++; most = max(most, open) })
			time.Sleep(time.Second)
			r.gauge(func() { open-- })
			return relaytest.OK(tr)
		}
		r.start(t)
		for range 1000 {
			r.send(t, "a@example.com", "b@one.test")
		}
		after(16 * time.Second)
		alive.Store(true)
		for len(r.delivered()) == 0 {
			after(100 * time.Millisecond)
		}
		for second, limit := range []int{2, 4, 8, 16, 20} {
			r.gauge(func() { most = open })
			after(900 * time.Millisecond)
			r.gauge(func() {
				if most > limit || most <= limit/4 {
					t.Errorf("in second %d after the first delivery %d connections, want %d", second, most, limit)
				}
			})
			after(100 * time.Millisecond)
		}
		after(2 * time.Minute)
		r.wantEmpty(t)
	})
}
