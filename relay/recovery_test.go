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
