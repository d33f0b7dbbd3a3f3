package relay_test

import (
	"context"
	"fmt"
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
