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

// A destination that is limited has much mail of many senders. It loses no turn by being held up for a moment
// again and again.
func TestLimitedDestinationKeepsItsPlace(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Limits.Destinations = []relay.DestinationLimit{{Domain: "x.test", Connections: 1}}
		r.shareHost(5)
		r.fill(t)
		for i := range 5 {
			for k := range 60 {
				r.send(t, fmt.Sprintf("a@x%d.example", k), fmt.Sprintf("limited%d@x.test", i))
			}
		}
		for i := range 40 {
			for k := range 60 {
				r.send(t, fmt.Sprintf("a@o%d.example", k), fmt.Sprintf("u%d@d%d.test", i, k))
			}
		}
		r.start(t)
		after(5 * time.Second)
		if n := len(r.positions("limited")); n < 75 {
			t.Errorf("%d to the limited destination in 5 s, while 50 a second could be", n)
		}
		after(time.Hour)
		r.wantEmpty(t)
	})
}

// A sender whose rate is limited has as much as that, whoever else has mail for the same destinations.
func TestLimitedSenderAmongBusy(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Limits.Flows = []relay.FlowLimit{{Name: "late.example", Rates: []relay.Rate{{Count: 60, Per: time.Minute}}}}
		r.shareHost(1)
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			time.Sleep(200 * time.Millisecond)
			return relaytest.OK(tr)
		}
		r.fill(t)
		r.flood(t, 3, 600)
		r.start(t)
		after(2 * time.Second)
		for k := range 30 {
			r.send(t, "a@late.example", fmt.Sprintf("late@d%d.test", 590-7*k))
		}
		after(40 * time.Second)
		if n := len(r.positions("late")); n < 30 {
			t.Errorf("%d of 30 messages in 40 s, at a rate of one a second", n)
		}
		after(time.Hour)
		r.wantEmpty(t)
	})
}

// Mail of thousands of senders for one slow destination does not take the memory of the others.
func TestManySendersLeaveMemory(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Memory, r.options.BinMemory = 1_000_000, 100_000
		r.transport.OnDeliver = func(_ context.Context, s *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			if strings.Contains(s.Key, "slow.test") {
				time.Sleep(2 * time.Minute)
			}
			time.Sleep(20 * time.Millisecond)
			return relaytest.OK(tr)
		}
		r.spool = slowClaims{r.spool}
		r.fill(t)
		for i := range 3000 {
			r.send(t, "b@other.example", fmt.Sprintf("fast%d@fast.test", i))
		}
		r.build(t)
		for i := range 3000 {
			r.send(t, fmt.Sprintf("a@s%d.example", i), "u@slow.test")
		}
		r.run()
		after(4 * time.Second)
		if n := len(r.positions("fast")); n < 2500 {
			t.Errorf("%d of 3000 messages for the fast destination in 4 s, while 1000 a second could be", n)
		}
		after(10 * time.Hour)
		r.wantEmpty(t)
	})
}

// slowClaims is a Spool on a slow disk.
type slowClaims struct{ relay.Spool }

func (s slowClaims) Claim(ctx context.Context, to relay.Destination, f relay.Flow, now time.Time, n int) ([]relay.Delivery, time.Time, error) {
	time.Sleep(5 * time.Millisecond)
	return s.Spool.Claim(ctx, to, f, now, n)
}

// A destination that has had much from one site takes its turns at once at another.
func TestDestinationMovesAmongBusy(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.shareHost(1)
		var moved atomic.Bool
		r.transport.SiteOf = func(d relay.Destination) (*relay.Site, error) {
			key := "new.test"
			if d.Domain == "x.test" && !moved.Load() {
				key = "old.test"
			}
			return &relay.Site{Key: key, Expires: time.Now().Add(30 * time.Second)}, nil
		}
		r.fill(t)
		for i := range 3000 {
			r.send(t, "a@one.example", fmt.Sprintf("x%d@x.test", i))
		}
		r.start(t)
		after(25 * time.Second)
		for i := range 3000 {
			r.send(t, "a@one.example", fmt.Sprintf("y%d@y.test", i))
		}
		moved.Store(true)
		after(6 * time.Second) // it has
		x, y := len(r.positions("x")), len(r.positions("y"))
		after(20 * time.Second)
		x, y = len(r.positions("x"))-x, len(r.positions("y"))-y
		if x < y*9/10 || y < x*9/10 {
			t.Errorf("%d to the destination that has moved and %d to the other", x, y)
		}
		after(time.Hour)
		r.wantEmpty(t)
	})
}

// What a sender with little has in the spool is loaded though others fill the memory, when a start finds it
// there and when its time comes again.
func TestLittleIsLoaded(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		const domains, each = 100, 40
		r.options.Memory = 500 * 300
		r.options.Retry.First = 5 * time.Second
		r.shareHost(5)
		well := r.transport.OnDeliver
		var tried atomic.Bool
		r.transport.OnDeliver = func(ctx context.Context, s *relay.Site, tr relay.Transfer, body []byte) relay.Attempt {
			if tr.Recipients[0].Address.Local == "again" && tried.CompareAndSwap(false, true) {
				return relaytest.Answer(tr, reply(451, "later"))
			}
			return well(ctx, s, tr, body)
		}
		r.fill(t)
		r.flood(t, each, domains)
		for k := range 20 {
			r.send(t, "a@little.example", fmt.Sprintf("little@d%d.test", 7*k))
		}
		r.send(t, "a@patient.example", "again@d3.test")
		r.start(t)
		after(2 * time.Second)
		if n := len(r.positions("little")); n != 20 || !tried.Load() {
			t.Errorf("%d of 20 messages of the sender with little in 2 s; another's was attempted: %v", n, tried.Load())
		}
		after(6 * time.Second)
		if n := len(r.positions("again")); n != 1 {
			t.Error("what was deferred has not been attempted again, 3 s after its time")
		}
		if n := len(r.delivered()); n > domains*each*3/4 {
			t.Errorf("%d had been delivered, too many for the test", n)
		}
		after(time.Hour)
		r.wantEmpty(t)
	})
}

// A flow with nothing in memory is loaded when its time comes, though its bin is full of what cannot go.
func TestTimeComesInFullBin(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.BinMemory = 5 * 300
		r.options.Limits.Flows = []relay.FlowLimit{{Name: "slow.example", Rates: []relay.Rate{{Count: 1, Per: time.Hour}}}}
		var tried atomic.Bool
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			if tr.Recipients[0].Address.Local == "again" && tried.CompareAndSwap(false, true) {
				return relaytest.Answer(tr, reply(451, "later"))
			}
			return relaytest.OK(tr)
		}
		r.start(t)
		r.send(t, "a@one.example", "again@x.test")
		after(time.Second)
		for i := range 10 {
			r.send(t, "a@slow.example", fmt.Sprintf("u%d@x.test", i))
		}
		after(2 * time.Minute)
		if n := len(r.positions("again")); n != 1 || !tried.Load() {
			t.Error("what was deferred for a minute has not been attempted again")
		}
		after(20 * time.Hour)
		r.wantEmpty(t)
	})
}
