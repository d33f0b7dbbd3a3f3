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

// roomFor is the memory in which about so many destinations are known.
func roomFor(n int64) int64 { return n * 1850 }

// known is how many destinations the scheduler knows.
func (r *rig) known() int { return len(r.scheduler.Status()) }

// Far more destinations than there is room for all get their mail, whether it waits when the
// relay starts or comes later, and what is known stays within its bound.
func TestMoreDestinationsThanRoom(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.KnownMemory = roomFor(60)
		most := 0
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			time.Sleep(100 * time.Millisecond)
			r.gauge(func() { most = max(most, r.known()) })
			return relaytest.OK(tr)
		}
		r.fill(t)
		for i := range 1000 {
			r.send(t, "a@example.com", fmt.Sprintf("u@d%d.test", i))
		}
		r.start(t)
		for i := range 1000 {
			r.send(t, "a@example.com", fmt.Sprintf("u@e%d.test", i))
		}
		after(10 * time.Minute)
		if n := len(r.delivered()); n != 2000 {
			t.Errorf("%d of 2000 delivered", n)
		}
		if most > 70 || most < 20 {
			t.Errorf("%d destinations known at once, with room for 60", most)
		}
		r.wantEmpty(t)
	})
}

// Deferred mail of more destinations than there is room for is tried again when its time comes.
func TestMoreDeferredThanRoom(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.KnownMemory = roomFor(60)
		var good atomic.Bool
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			if !good.Load() {
				return relaytest.Answer(tr, reply(451, "later"))
			}
			return relaytest.OK(tr)
		}
		r.start(t)
		for i := range 1000 {
			r.send(t, "a@example.com", fmt.Sprintf("u@d%d.test", i))
		}
		after(2 * time.Hour)
		if n := r.known(); n > 70 {
			t.Errorf("%d destinations known, with room for 60", n)
		}
		tries := 0
		for _, d := range r.queued(t) {
			tries += d.Attempts
		}
		if tries < 5000 {
			t.Errorf("%d attempts in 2 hours at 1000 deliveries", tries)
		}
		good.Store(true)
		r.send(t, "a@example.com", "fresh@fresh.test")
		after(time.Second)
		if n := len(r.positions("fresh")); n != 1 {
			t.Error("fresh mail waits for room that deferred mail takes")
		}
		after(90 * time.Minute)
		r.wantEmpty(t)
	})
}

// Destinations that cannot be found do not take the room of those that can.
func TestDeadDestinationsLeaveRoom(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Retry = relay.Retry{First: time.Minute, Factor: 2, Max: time.Hour, MaxAge: 2 * time.Hour}
		r.options.KnownMemory = roomFor(60)
		r.transport.SiteOf = func(to relay.Destination) (*relay.Site, error) {
			if to.Domain[0] == 'd' {
				unknown := reply(451, "no DNS")
				return nil, &unknown
			}
			return &relay.Site{Key: to.Domain}, nil
		}
		r.start(t)
		for i := range 500 {
			r.send(t, "a@example.com", fmt.Sprintf("u@d%d.test", i))
		}
		after(time.Minute)
		for i := range 100 {
			r.send(t, "a@example.com", fmt.Sprintf("u@good%d.test", i))
			after(10 * time.Second)
		}
		if n := len(r.delivered()); n != 100 {
			t.Errorf("%d of 100 good ones delivered", n)
		}
		after(3 * time.Hour)
		r.wantEmpty(t) // all the others were returned
	})
}

// Many senders to one destination are bounded too.
func TestMoreSendersThanRoom(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.KnownMemory = roomFor(40)
		r.fill(t)
		for i := range 1000 {
			r.send(t, fmt.Sprintf("a@s%d.example", i), "u@x.test")
		}
		r.start(t)
		after(5 * time.Minute)
		if n := len(r.delivered()); n != 1000 {
			t.Errorf("%d of 1000 delivered", n)
		}
		r.wantEmpty(t)
	})
}
