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

// slowly makes every transaction take a second.
func slowly(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
	time.Sleep(time.Second)
	return relaytest.OK(tr)
}

// A connection with more to carry is told what comes next, and one at a time.
func TestLooksAhead(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Connections = 1
		r.transport.OnDeliver = slowly
		r.fill(t)
		for range 10 {
			r.send(t, "sender@example.com", "b@one.test")
		}
		r.start(t)
		after(time.Minute)
		if n := r.transport.Ahead(); n != 9 {
			t.Errorf("%d transfers announced, want 9 of 10", n)
		}
		if len(r.delivered()) != 10 || r.transport.Dials("test/one.test") != 1 {
			t.Errorf("delivered %d over %d connections", len(r.delivered()), r.transport.Dials("test/one.test"))
		}
		r.wantEmpty(t)
	})
}

// What connections are being opened for is not taken from them.
func TestLeavesWorkToNewConnections(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		var dials atomic.Int32
		r.transport.OnDial = func(context.Context, *relay.Site) error {
			if dials.Add(1) > 1 {
				time.Sleep(100 * time.Millisecond)
			}
			return nil
		}
		r.transport.OnDeliver = slowly
		r.fill(t)
		for range 3 {
			r.send(t, "sender@example.com", "b@one.test")
		}
		r.start(t)
		after(1500 * time.Millisecond)
		if len(r.delivered()) != 3 || r.transport.Ahead() != 0 {
			t.Errorf("delivered %d with %d announced, want 3 at once", len(r.delivered()), r.transport.Ahead())
		}
		r.wantEmpty(t)
	})
}

// What was announced over a connection that broke goes back, and no attempt is counted.
func aheadOfBreak(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Connections = 1
		var n atomic.Int32
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			if n.Add(1) == 2 {
				a := relaytest.Answer(tr, reply(451, "lost"))
				a.Ambiguous = true
				return a
			}
			return relaytest.OK(tr)
		}
		r.fill(t)
		for i := range 4 {
			r.send(t, "sender@example.com", fmt.Sprintf("r%d@one.test", i))
		}
		r.start(t)
		after(time.Second)
		if got := len(r.delivered()); got != 3 {
			t.Errorf("delivered %q, want all but the second", r.delivered())
		}
		if n := r.transport.Dials("test/one.test"); n != 2 {
			t.Errorf("%d connections, want 2", n)
		}
		after(time.Hour)
		for _, a := range r.observer.AllAttempted() {
			if a.Delivery.Attempts > 0 && !strings.HasPrefix(a.Outcomes[0].Recipient.Address.Local, "r1") {
				t.Errorf("an attempt was counted for %s", a.Outcomes[0].Recipient.Address)
			}
		}
		r.wantEmpty(t)
	})
}

// A connection's number of messages holds for what is announced too.
func TestAheadOfLastMessage(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Connections, r.options.MessagesPerConnection = 1, 3
		r.fill(t)
		for range 9 {
			r.send(t, "sender@example.com", "b@one.test")
		}
		r.start(t)
		after(time.Minute)
		if n, dials := r.transport.Ahead(), r.transport.Dials("test/one.test"); n != 6 || dials != 3 {
			t.Errorf("%d announced over %d connections, want 6 over 3", n, dials)
		}
		r.wantEmpty(t)
	})
}

// A panic takes neither the delivery nor what was to follow it.
func TestAheadOfPanic(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Connections = 1
		var n atomic.Int32
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			if n.Add(1) == 1 {
				panic("at the disco")
			}
			return relaytest.OK(tr)
		}
		r.fill(t)
		for range 3 {
			r.send(t, "sender@example.com", "b@one.test")
		}
		r.start(t)
		after(time.Second)
		if len(r.delivered()) != 2 {
			t.Errorf("delivered %d, want 2 at once", len(r.delivered()))
		}
		after(time.Hour)
		if len(r.delivered()) != 3 || len(r.queued(t)) != 0 {
			t.Errorf("delivered %d, %d left", len(r.delivered()), len(r.queued(t)))
		}
	})
}

// A stop takes the announced one along: what is not delivered stays in the spool, unclaimed.
func TestAheadOfStop(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Connections = 1
		r.transport.OnDeliver = func(ctx context.Context, s *relay.Site, tr relay.Transfer, c []byte) relay.Attempt {
			<-ctx.Done()
			a := relaytest.Answer(tr, reply(451, "stopped"))
			a.Untried = true
			return a
		}
		r.fill(t)
		for range 4 {
			r.send(t, "sender@example.com", "b@one.test")
		}
		r.start(t)
		after(time.Second)
		if n := r.transport.Ahead(); n != 1 {
			t.Errorf("%d announced, want 1", n)
		}
		r.stop()
		claimed, _, err := r.spool.Claim(t.Context(), relay.Destination{Route: "test", Domain: "one.test"}, flowOf(t, r), time.Now().Add(time.Hour), 10)
		if err != nil || len(claimed) != 4 {
			t.Errorf("%d deliveries can be claimed after the stop (%v), want 4", len(claimed), err)
		}
	})
}

func flowOf(t *testing.T, r *rig) relay.Flow {
	t.Helper()
	return r.queued(t)[0].Flow
}

// What a connection gives back is delivered by another, once, and no attempt is counted.
func TestRecall(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Connections = 2
		r.transport.Recalls = true
		r.transport.OnDeliver = slowly
		r.fill(t)
		for range 10 {
			r.send(t, "sender@example.com", "b@one.test")
		}
		r.start(t)
		after(time.Minute)
		if n := r.transport.Ahead(); n == 0 {
			t.Error("nothing was announced")
		}
		if n := len(r.delivered()); n != 10 {
			t.Errorf("delivered %d, want 10", n)
		}
		for _, a := range r.observer.AllAttempted() {
			if a.Delivery.Attempts != 0 {
				t.Errorf("delivery had %d attempts before", a.Delivery.Attempts)
			}
		}
		r.wantEmpty(t)
	})
}
