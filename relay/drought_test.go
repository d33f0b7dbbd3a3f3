package relay_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"postrider/relay"
)

// While DNS is down, the destinations that wait are looked up at a steady pace, be they ever so many,
// and when it is back all of them get their mail soon, those that had been forgotten too.
func TestDrought(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		const n = 600
		r.options.KnownMemory = roomFor(60)
		var up atomic.Bool
		var asked atomic.Int64
		r.transport.SiteOf = func(to relay.Destination) (*relay.Site, error) {
			asked.Add(1)
			if !up.Load() {
				unknown := reply(451, "no DNS")
				return nil, &unknown
			}
			return &relay.Site{Key: to.Domain}, nil
		}
		r.start(t)
		for i := range n {
			r.send(t, "a@example.com", fmt.Sprintf("u@d%d.test", i))
		}
		after(10 * time.Minute)
		asked.Store(0)
		after(10 * time.Minute)
		if got := asked.Load(); got == 0 || got > 2*n {
			t.Errorf("%d look-ups in 10 minutes for %d destinations", got, n)
		}
		up.Store(true)
		after(16 * time.Minute) // a probe may have been a quarter of an hour off
		if got := len(r.delivered()); got != n {
			t.Errorf("%d of %d delivered after DNS came back", got, n)
		}
		r.wantEmpty(t)
	})
}

// Domains that nobody can look up do not keep one that is well in the spool for long, though nothing
// that had failed is ever found.
func TestDroughtOfOthers(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		const n = 600
		r.options.KnownMemory = roomFor(60)
		r.transport.SiteOf = func(to relay.Destination) (*relay.Site, error) {
			if to.Domain[0] == 'd' {
				unknown := reply(451, "no DNS")
				return nil, &unknown
			}
			return &relay.Site{Key: to.Domain}, nil
		}
		r.fill(t)
		for i := range n {
			r.send(t, "a@example.com", fmt.Sprintf("u@d%d.test", i))
		}
		r.send(t, "a@example.com", "u@well.test")
		r.start(t)
		after(5 * time.Minute)
		if got := len(r.delivered()); got != 1 {
			t.Errorf("%d delivered, want the one that can be", got)
		}
	})
}

// What is known counts against its bound after a reload as before.
func TestReloadKeepsBoundOfKnown(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.KnownMemory = roomFor(60)
		r.transport.SiteOf = func(relay.Destination) (*relay.Site, error) {
			unknown := reply(451, "no DNS")
			return nil, &unknown
		}
		r.start(t)
		for i := range 300 {
			r.send(t, "a@example.com", fmt.Sprintf("u@d%d.test", i))
		}
		after(time.Minute)
		for i := range 3 {
			r.scheduler.Reload(relay.SchedulerOptions{Transport: r.transport, Policy: r.policy, Retry: r.options.Retry, KnownMemory: r.options.KnownMemory})
			for j := range 100 {
				r.send(t, "a@example.com", fmt.Sprintf("u@e%d-%d.test", i, j))
			}
			after(time.Minute)
		}
		if got := r.known(); got > 70 {
			t.Errorf("%d destinations known, with room for 60", got)
		}
	})
}
