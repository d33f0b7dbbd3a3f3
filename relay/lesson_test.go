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

// A site that ends each connection after three messages is soon left after three, with a QUIT,
// and no message is sent to a connection that is closed. A restart knows it still.
func learnsMessagesPerConnection(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Connections = 1
		r.options.Notes = &relaytest.Notes{}
		on, untried := 0, 0
		r.transport.OnDial = func(context.Context, *relay.Site) error {
			on = 0
			return nil
		}
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			if on++; on > 3 {
				untried++
				a := relaytest.Answer(tr, reply(421, "enough"))
				a.Untried = true
				return a
			}
			time.Sleep(time.Millisecond)
			return relaytest.OK(tr)
		}
		r.start(t)
		for i := range 60 {
			r.send(t, "a@example.com", fmt.Sprintf("u%d@x.test", i))
		}
		after(time.Minute)
		if len(r.delivered()) != 60 || untried != 2 {
			t.Errorf("%d delivered, %d sent in vain, want 60 and 2", len(r.delivered()), untried)
		}
		r.stop()
		r.start(t)
		for i := range 30 {
			r.send(t, "a@example.com", fmt.Sprintf("u%d@x.test", i))
		}
		after(time.Minute)
		if untried != 2 {
			t.Errorf("%d sent in vain after a restart", untried-2)
		}
		after(2 * time.Hour)
		for i := range 12 {
			r.send(t, "a@example.com", fmt.Sprintf("later%d@x.test", i))
		}
		after(time.Minute)
		if untried != 4 {
			t.Errorf("%d tries in vain in all: the lesson is to be checked again after an hour", untried)
		}
		r.wantEmpty(t)
	})
}

// A window that a site has cut down is not opened wide by a restart, nor is a dead host met with
// more than one probe.
func TestLessonsSurviveRestart(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Notes = &relaytest.Notes{}
		var dead atomic.Bool
		r.transport.OnDial = func(_ context.Context, site *relay.Site) error {
			if refused := reply(421, "too many connections"); r.transport.Open(site.Key) >= 2 || dead.Load() {
				return &refused
			}
			return nil
		}
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			time.Sleep(time.Second)
			return relaytest.OK(tr)
		}
		r.start(t)
		for i := range 60 {
			r.send(t, "a@example.com", fmt.Sprintf("u%d@x.test", i))
		}
		after(20 * time.Second)
		before, ok := r.scheduler.StatusOf(relay.Destination{Route: "test", Domain: "x.test"})
		dead.Store(true)
		r.stop()
		r.start(t)
		after(10 * time.Millisecond)
		status, _ := r.scheduler.StatusOf(relay.Destination{Route: "test", Domain: "x.test"})
		if !ok || before.Window > 4 || status.Window > before.Window+1 {
			t.Errorf("a window of %d before, %d after the restart", before.Window, status.Window)
		}
		after(time.Minute)
		dials := r.transport.Dials("test/x.test")
		r.stop()
		r.start(t)
		after(20 * time.Second)
		if n := r.transport.Dials("test/x.test") - dials; n != 1 {
			t.Errorf("%d dials of a dead host after a restart, want a probe", n)
		}
		dead.Store(false)
		after(time.Hour)
		r.wantEmpty(t)
	})
}
