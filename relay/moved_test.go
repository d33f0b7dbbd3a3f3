package relay_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
)

// detour makes a transport with a first site, and a second one while the first is down. What is down is
// known from the first dial that fails until known is cleared.
type detour struct {
	down, known, deadSecond atomic.Bool
}

func (d *detour) siteOf(relay.Destination) (*relay.Site, error) {
	first := !d.known.Load() || d.deadSecond.Load()
	site := &relay.Site{Key: "second", Smart: true, Around: true}
	if first {
		site.Key = "first"
	}
	site.Moved = func() bool { return (!d.known.Load() || d.deadSecond.Load()) != first }
	return site, nil
}

func (d *detour) onDial(_ context.Context, site *relay.Site) error {
	if site.Key == "first" && d.down.Load() {
		d.known.Store(true)
		r := reply(451, "first is down")
		return &r
	}
	if site.Key == "second" && d.deadSecond.Load() {
		r := reply(451, "second is down")
		return &r
	}
	return nil
}

func (d *detour) rig(r *rig) {
	r.transport.SiteOf, r.transport.OnDial = d.siteOf, d.onDial
}

// sites lists where the messages went, without repeats in a row.
func (r *rig) sites() string {
	var all []string
	for _, d := range r.transport.AllDelivered() {
		if len(all) == 0 || all[len(all)-1] != d.Site {
			all = append(all, d.Site)
		}
	}
	return strings.Join(all, " ")
}

// Mail of a site that fails goes to the one that the transport names instead, at once, and comes back
// when the first is tried again. What operators are told about the first ends with its return.
func TestSiteMoved(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		var d detour
		d.rig(r)
		d.down.Store(true)
		r.start(t)
		for i := range 50 {
			r.send(t, "a@example.com", fmt.Sprintf("r%d@example.net", i))
		}
		after(time.Second)
		if n := len(r.delivered()); n != 50 || r.sites() != "second" {
			t.Fatalf("%d delivered, to %s; want all 50 to the second", n, r.sites())
		}
		if n := r.transport.Dials("first"); n > 5 {
			t.Errorf("%d dials of the first", n)
		}
		d.down.Store(false)
		d.known.Store(false)
		r.send(t, "a@example.com", "back@example.net")
		after(time.Second)
		if got := r.sites(); got != "second first" {
			t.Errorf("sites %s", got)
		}
		gated := r.observer.AllGated()
		if len(gated) != 2 || gated[0].Name != "first" || !gated[0].Closed || gated[1].Name != "first" || gated[1].Closed {
			t.Errorf("gates: %+v", gated)
		}
		r.wantEmpty(t)
	})
}

// A site that is left while it works, as for a refusal of all mail, loses its mail at once too.
func TestSiteMovedAlive(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		var d detour
		d.rig(r)
		r.transport.OnDeliver = func(_ context.Context, site *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			if site.Key == "first" {
				d.known.Store(true)
				return relaytest.Answer(tr, reply(451, "later"))
			}
			return relaytest.OK(tr)
		}
		r.start(t)
		for i := range 200 {
			r.send(t, "a@example.com", fmt.Sprintf("r%d@example.net", i))
		}
		after(time.Second)
		if n := len(r.delivered()); n < 150 {
			t.Errorf("%d of 200 delivered in a second; those that the first had in hand wait", n)
		}
		after(2 * time.Hour)
		r.wantEmpty(t)
	})
}

// With no way left the first's gate paces the tries as ever.
func TestSiteMovedNowhere(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		var d detour
		d.rig(r)
		d.down.Store(true)
		d.deadSecond.Store(true)
		r.start(t)
		r.send(t, "a@example.com", "b@example.net")
		after(10 * time.Minute)
		if n := r.transport.Dials("first") + r.transport.Dials("second"); n < 8 || n > 30 {
			t.Errorf("%d dials in ten minutes", n)
		}
		d.deadSecond.Store(false)
		after(2 * time.Minute)
		if got := r.sites(); got != "second" {
			t.Errorf("sites %q, want the second", got)
		}
		r.wantEmpty(t)
	})
}
