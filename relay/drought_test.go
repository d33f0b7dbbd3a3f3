package relay_test

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postrider/relay"
)

// withoutDNS has DNS down until up says otherwise, and counts what it is asked.
func (r *rig) withoutDNS() (up *atomic.Bool, asked *atomic.Int64) {
	up, asked = new(atomic.Bool), new(atomic.Int64)
	r.transport.SiteOf = func(to relay.Destination) (*relay.Site, error) {
		asked.Add(1)
		if !up.Load() {
			unknown := reply(451, "no DNS")
			return nil, &unknown
		}
		return &relay.Site{Key: to.Domain}, nil
	}
	return up, asked
}

// While DNS is down, the destinations that wait are looked up at a steady pace, be they ever so many,
// and when it is back all of them get their mail soon, those that had been forgotten too.
func TestDrought(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		const n = 600
		r.options.KnownMemory = roomFor(60)
		up, asked := r.withoutDNS()
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

// headCount is a Spool that counts the bins it is asked for, by the second.
type headCount struct {
	relay.Spool
	seen sync.Map // of time.Time to *atomic.Int64
}

func (c *headCount) Bins(ctx context.Context, from relay.BinHead) iter.Seq2[relay.BinHead, error] {
	return func(yield func(relay.BinHead, error) bool) {
		n, _ := c.seen.LoadOrStore(time.Now().Truncate(time.Second), new(atomic.Int64))
		for head, err := range c.Spool.Bins(ctx, from) {
			n.(*atomic.Int64).Add(1)
			if !yield(head, err) {
				return
			}
		}
	}
}

// While DNS is down the spool is looked through in steps, not all at once.
func TestDroughtLooksInSteps(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		const n, most = 1500, 400
		count := &headCount{Spool: r.spool}
		r.spool, r.options.KnownMemory = count, roomFor(60)
		up, _ := r.withoutDNS()
		r.fill(t)
		for i := range n {
			r.send(t, "a@example.com", fmt.Sprintf("u@d%d.test", i))
		}
		r.start(t)
		after(time.Minute) // the first look, at the start, is at all
		count.seen.Clear()
		after(15 * time.Minute)
		all := int64(0)
		count.seen.Range(func(at, seen any) bool {
			n := seen.(*atomic.Int64).Load()
			if all += n; n > most+100 {
				t.Errorf("%d bins in a second, at %v", n, at)
			}
			return true
		})
		if all < n {
			t.Errorf("%d bins in a quarter of an hour, want all %d once at least", all, n)
		}
		up.Store(true)
		after(20 * time.Minute)
		r.wantEmpty(t)
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
