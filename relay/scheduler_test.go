package relay_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
)

func TestDelivers(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.start(t)
		id := r.send(t, "a@example.com", "b@one.test", "c@two.test")
		synctest.Wait()
		got := r.delivered()
		slices.Sort(got)
		if want := []string{"b@one.test", "c@two.test"}; !slices.Equal(got, want) {
			t.Fatalf("delivered %v, want %v", got, want)
		}
		d := r.transport.AllDelivered()[0]
		if d.Message != id || !strings.HasPrefix(d.Content, "Received: from client.test ([192.0.2.7])\r\n\tby relay.test") ||
			!strings.HasSuffix(d.Content, content) || !strings.Contains(d.Content, "id "+id.String()) {
			t.Errorf("delivered %q", d.Content)
		}
		r.wantEmpty(t)
	})
}

// Mail of before the start is found by bins, not by messages, and delivered.
func TestDeliversWhatWasQueued(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.fill(t)
		for i := range 500 {
			r.send(t, fmt.Sprintf("a@sender%d.test", i%7), fmt.Sprintf("b%d@site%d.test", i, i%5))
		}
		r.start(t)
		after(time.Minute)
		if got := len(r.delivered()); got != 500 {
			t.Errorf("delivered %d of 500", got)
		}
		r.wantEmpty(t)
	})
}

// Connections are reused, stay within the window, and end when idle.
func TestReusesConnections(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Connections = 4
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			time.Sleep(time.Millisecond)
			return relaytest.OK(tr)
		}
		r.start(t)
		for range 300 {
			r.send(t, "a@example.com", "b@one.test")
		}
		after(time.Second)
		const site = "test/one.test"
		if got := r.transport.Most(site); got != 4 {
			t.Errorf("%d connections at once, want the window's 4", got)
		}
		if got := r.transport.Dials(site); got != 4 {
			t.Errorf("%d dials for 300 messages, want 4", got)
		}
		after(relay.DefaultIdle)
		if got := r.transport.Open(site); got != 0 {
			t.Errorf("%d connections open after the idle time", got)
		}
		if got := len(r.delivered()); got != 300 {
			t.Errorf("delivered %d of 300", got)
		}
	})
}

func TestMessagesPerConnection(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Connections, r.options.MessagesPerConnection = 1, 10
		r.start(t)
		for range 35 {
			r.send(t, "a@example.com", "b@one.test")
		}
		after(time.Second)
		if got := r.transport.Dials("test/one.test"); got != 4 {
			t.Errorf("%d dials for 35 messages, want 4", got)
		}
		if got := len(r.delivered()); got != 35 {
			t.Errorf("delivered %d of 35", got)
		}
	})
}

func TestConnectionsTotal(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		var open, most atomic.Int32
		r.options.ConnectionsTotal = 3
		r.options.Idle = time.Second
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			most.Store(max(most.Load(), open.Add(1)))
			time.Sleep(100 * time.Millisecond)
			open.Add(-1)
			return relaytest.OK(tr)
		}
		r.start(t)
		for i := range 30 {
			r.send(t, "a@example.com", fmt.Sprintf("b@site%d.test", i))
		}
		after(time.Minute)
		if got := most.Load(); got > 3 {
			t.Errorf("%d attempts at once, want 3 at most", got)
		}
		if got := len(r.delivered()); got != 30 {
			t.Errorf("delivered %d of 30", got)
		}
	})
}

// Each recipient has a fate of its own (T04): delivered ones leave, failed ones bounce
// alone, deferred ones come back alone and after their time.
func outcomesPerRecipient(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		var attempts [][]string
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			a := relaytest.OK(tr)
			var to []string
			for i, rcpt := range tr.Recipients {
				to = append(to, rcpt.Address.String())
				switch {
				case rcpt.Address.Local == "bad":
					a.Replies[i] = reply(550, "no such user")
				case rcpt.Address.Local == "busy" && len(attempts) == 0:
					a.Replies[i] = reply(450, "busy")
				}
			}
			attempts = append(attempts, to)
			return a
		}
		r.start(t)
		r.send(t, "sender@example.com", "good@one.test", "bad@one.test", "busy@one.test")
		synctest.Wait()
		left := r.queued(t)
		if len(left) != 1 || len(left[0].Recipients) != 1 || left[0].Attempts != 1 || left[0].Last.Code != 450 {
			t.Fatalf("left after the first attempt: %+v", left)
		}
		if wait := time.Until(left[0].Due); wait < 50*time.Second || wait > time.Minute {
			t.Errorf("due in %v, want nearly a minute", wait)
		}
		after(time.Minute)
		want := [][]string{{"good@one.test", "bad@one.test", "busy@one.test"}, {"sender@example.com"}, {"busy@one.test"}}
		if !slices.EqualFunc(attempts, want, slices.Equal) {
			t.Errorf("attempts %v, want %v", attempts, want)
		}
		r.wantEmpty(t)
	})
}

// A failure is told to the sender once, in a notice that is delivered like all mail.
func bounceOnce(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		refuse := reply(550, "no such user")
		refuse.Enhanced = relay.EnhancedCode{5, 1, 1}
		r.transport.OnDeliver = func(_ context.Context, s *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			if s.Key == "test/one.test" {
				return relaytest.Answer(tr, refuse)
			}
			return relaytest.OK(tr)
		}
		r.start(t)
		id := r.send(t, "sender@example.com", "b@one.test", "c@one.test")
		after(time.Second)
		got := r.transport.AllDelivered()
		if len(got) != 1 || got[0].Recipient.String() != "sender@example.com" {
			t.Fatalf("delivered %v, want one notice (D04)", r.delivered())
		}
		for _, want := range []string{
			"To: <sender@example.com>", "report-type=delivery-status", "Final-Recipient: rfc822; b@one.test",
			"Final-Recipient: rfc822; c@one.test", "Action: failed", "Status: 5.1.1", "Diagnostic-Code: smtp; 550 5.1.1 no such user",
			"Remote-MTA: dns; peer.test", "Auto-Submitted: auto-replied", "X-Postrider-Queue-ID: " + id.String(), "Subject: hello",
		} {
			if !strings.Contains(got[0].Content, want) {
				t.Errorf("the notice lacks %q:\n%s", want, got[0].Content)
			}
		}
		r.wantEmpty(t)
	})
}

// A bounce that bounces, and mail from the null sender, is dropped and counted (D05).
func bounceOfBounce(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			return relaytest.Answer(tr, reply(550, "no"))
		}
		r.start(t)
		r.send(t, "", "b@one.test")
		r.send(t, "sender@example.com", "b@one.test")
		after(time.Second)
		var dropped int
		for _, n := range r.observer.AllNotified() {
			if n.Dropped {
				dropped++
			}
		}
		if dropped != 2 || len(r.observer.AllNotified()) != 3 {
			t.Errorf("notified %+v, want two dropped of three", r.observer.AllNotified())
		}
		r.wantEmpty(t)
	})
}

// A dead host costs no message anything: no attempt, no change on disk. One probe at a time
// looks for it, and when it is back everything leaves.
func TestDeadHost(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		var dead atomic.Bool
		var dialing, most atomic.Int32
		dead.Store(true)
		r.transport.OnDial = func(context.Context, *relay.Site) error {
			most.Store(max(most.Load(), dialing.Add(1)))
			defer dialing.Add(-1)
			time.Sleep(time.Second)
			if dead.Load() {
				return relay.NewReply(451, relay.EnhancedCode{4, 4, 1}, "connection refused")
			}
			return nil
		}
		r.build(t)
		for range 2000 {
			r.send(t, "a@example.com", "b@one.test")
		}
		r.run()
		after(10 * time.Second)
		before := r.queued(t)
		most.Store(0)
		dials := r.transport.Dials("test/one.test")
		after(2 * time.Hour)
		if got := r.queued(t); !slices.EqualFunc(got, before, func(a, b relay.Delivery) bool {
			return a.DeliveryID == b.DeliveryID && a.Due.Equal(b.Due) && a.Attempts == 0
		}) {
			t.Error("deliveries changed while the host was dead")
		}
		if got := most.Load(); got != 1 {
			t.Errorf("%d probes at once, want 1", got)
		}
		if got := r.transport.Dials("test/one.test") - dials; got < 8 || got > 20 {
			t.Errorf("%d probes in two hours, want about one in 15 minutes", got)
		}
		st, ok := r.scheduler.StatusOf(relay.Destination{Route: "test", Domain: "one.test"})
		if !ok || !st.Closed || st.Reason.Text != "connection refused" || st.Loaded > 1 {
			t.Errorf("status %+v", st)
		}
		dead.Store(false)
		after(20 * time.Minute)
		if got := len(r.delivered()); got != 2000 {
			t.Errorf("delivered %d of 2000 after the host came back", got)
		}
		r.wantEmpty(t)
		if gated := r.observer.AllGated(); len(gated) != 2 || !gated[0].Closed || gated[1].Closed {
			t.Errorf("gated %+v, want closed and open", gated)
		}
	})
}

// A smart host that comes back is noticed within seconds, also after long, where nobody could be
// spoken with; one that answered with a no is asked less often.
func TestSmartHostRecovers(t *testing.T) {
	for _, c := range []struct {
		reply  *relay.Reply
		within time.Duration
	}{
		{relay.NewReply(451, relay.EnhancedCode{4, 4, 1}, "connection refused"), 5 * time.Second},
		{relay.NewReply(451, relay.EnhancedCode{4, 4, 2}, "lost in the middle"), time.Minute + time.Second},
		{&relay.Reply{Code: 421, Enhanced: relay.EnhancedCode{4, 4, 1}, Text: "so it says", Class: relay.ClassHost}, time.Minute + time.Second},
		{relay.NewReply(451, relay.EnhancedCode{4, 4, 3}, "no name server"), 5 * time.Second},
		{relay.NewReply(421, relay.EnhancedCode{4, 3, 2}, "shutting down"), time.Minute + time.Second},
	} {
		t.Run(c.reply.Text, func(t *testing.T) {
			inTime(t, func(t *testing.T, r *rig) {
				var dead atomic.Bool
				dead.Store(true)
				var dials atomic.Int32
				r.transport.SiteOf = func(relay.Destination) (*relay.Site, error) { return &relay.Site{Key: "smart", Smart: true}, nil }
				r.transport.OnDial = func(context.Context, *relay.Site) error {
					dials.Add(1)
					if dead.Load() {
						return c.reply
					}
					return nil
				}
				r.start(t)
				r.send(t, "a@example.com", "b@one.test")
				after(12 * time.Hour)
				if n, most := dials.Load(), int32(12*time.Hour/(c.within/3)); n > most {
					t.Errorf("dialled %d times in 12 hours, want at most %d", n, most)
				}
				dead.Store(false)
				after(c.within)
				if got := r.delivered(); len(got) != 1 {
					t.Errorf("delivered %v within %s", got, c.within)
				}
			})
		})
	}
}

// A host that hangs up on every message is dead, too, but the attempts it made count.
func TestHostThatHangsUp(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		var attempts atomic.Int32
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			attempts.Add(1)
			a := relaytest.Answer(tr, reply(421, "closing"))
			a.Setback = true
			return a
		}
		r.build(t)
		for range 1000 {
			r.send(t, "a@example.com", "b@one.test")
		}
		r.run()
		after(10 * time.Second)
		if got := attempts.Load(); got < 5 || got > 20 {
			t.Errorf("%d attempts before the gate closed", got)
		}
	})
}

// Mail that grows old behind a closed gate is returned at its age, once, and the sender was
// told of the delay once before (D03).
func expiresBehindGate(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Retry.WarnAfter = 4 * time.Hour
		r.transport.OnDial = func(_ context.Context, s *relay.Site) error {
			if s.Key == "test/one.test" {
				return relay.NewReply(451, relay.EnhancedCode{4, 4, 1}, "connection refused")
			}
			return nil
		}
		r.start(t)
		r.send(t, "sender@example.com", "b@one.test")
		after(4*time.Hour + 2*time.Minute)
		got := r.transport.AllDelivered()
		if len(got) != 1 || !strings.Contains(got[0].Content, "Action: delayed") || !strings.Contains(got[0].Content, "Will-Retry-Until:") {
			t.Fatalf("after four hours: %+v", got)
		}
		r.stop()
		r.start(t)
		after(19 * time.Hour)
		if n := len(r.delivered()); n != 1 {
			t.Fatalf("%d notices after a restart, want 1", n)
		}
		after(2 * time.Hour)
		got = r.transport.AllDelivered()
		if len(got) != 2 || !strings.Contains(got[1].Content, "Action: failed") || !strings.Contains(got[1].Content, "connection refused") {
			t.Fatalf("after a day: %+v", got)
		}
		r.wantEmpty(t)
	})
}

func TestExpiresAfterAttempts(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.transport.OnDeliver = func(_ context.Context, s *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			if s.Key == "test/one.test" {
				return relaytest.Answer(tr, reply(450, "mailbox busy"))
			}
			return relaytest.OK(tr)
		}
		r.start(t)
		r.send(t, "sender@example.com", "b@one.test")
		after(24*time.Hour + time.Minute)
		got := r.transport.AllDelivered()
		if len(got) != 1 || !strings.Contains(got[0].Content, "given up after 24h0m0s") || !strings.Contains(got[0].Content, "450 mailbox busy") {
			t.Errorf("notice %+v", got)
		}
		if n := len(r.observer.AllAttempted()); n < 10 || n > 100 {
			t.Errorf("%d attempts in a day", n)
		}
		r.wantEmpty(t)
	})
}

// Due times and attempts survive a restart: nothing is forgotten, nothing stampedes.
func TestRestartKeepsSchedule(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		var attempts atomic.Int32
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			attempts.Add(1)
			return relaytest.Answer(tr, reply(450, "later"))
		}
		r.start(t)
		for range 10 {
			r.send(t, "a@example.com", "b@one.test")
		}
		after(5 * time.Minute)
		before, queue := attempts.Load(), r.queued(t)
		r.stop()
		r.start(t)
		after(time.Second)
		if got := attempts.Load(); got != before {
			t.Errorf("%d attempts right after the restart", got-before)
		}
		if got := r.queued(t); !slices.EqualFunc(got, queue, func(a, b relay.Delivery) bool { return a.Due.Equal(b.Due) && a.Attempts == b.Attempts }) {
			t.Errorf("queue changed over the restart")
		}
		after(9 * time.Minute)
		if got := attempts.Load(); got != before+10 {
			t.Errorf("%d attempts in the next nine minutes, want 10", got-before)
		}
	})
}

// Routes are decided anew at each attempt: queued mail follows a change.
func TestRouteChange(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		var to atomic.Value
		to.Store("old")
		r.policy.RouteTo = func(_ *relay.Origin, _ *relay.Envelope, rcpt relay.Recipient) (relay.Destination, *relay.Reply) {
			if to.Load() == "split" {
				return relay.Destination{Route: rcpt.Address.Local}, nil
			}
			return relay.Destination{Route: to.Load().(string)}, nil
		}
		r.transport.OnDial = func(_ context.Context, s *relay.Site) error {
			if s.Key == "old" {
				return relay.NewReply(451, relay.EnhancedCode{4, 4, 1}, "connection refused")
			}
			return nil
		}
		r.start(t)
		r.send(t, "a@example.com", "x@one.test", "y@two.test", "x@three.test")
		after(time.Hour)
		to.Store("split")
		after(20 * time.Minute)
		sites := map[string][]string{}
		for _, d := range r.transport.AllDelivered() {
			sites[d.Site] = append(sites[d.Site], d.Recipient.String())
		}
		if !slices.Equal(sites["x"], []string{"x@one.test", "x@three.test"}) || !slices.Equal(sites["y"], []string{"y@two.test"}) {
			t.Errorf("delivered %v", sites)
		}
		r.wantEmpty(t)
	})
}

// Mail without a route waits with the reason.
func TestNoRoute(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		var gone atomic.Bool
		r.policy.RouteTo = func(*relay.Origin, *relay.Envelope, relay.Recipient) (relay.Destination, *relay.Reply) {
			if gone.Load() {
				return relay.Destination{}, relay.NewReply(550, relay.EnhancedCode{5, 7, 1}, "no route to there")
			}
			return relay.Destination{Route: "test"}, nil
		}
		r.build(t)
		r.send(t, "a@example.com", "b@one.test")
		gone.Store(true)
		r.run()
		after(time.Second)
		left := r.queued(t)
		if len(left) != 1 || left[0].Last.Permanent() || !strings.Contains(left[0].Last.Text, "no route to there") {
			t.Errorf("left %+v", left)
		}
	})
}

func TestUnresolvable(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		var failing atomic.Bool
		failing.Store(true)
		r.transport.SiteOf = func(to relay.Destination) (*relay.Site, error) {
			switch {
			case to.Domain == "gone.test":
				return nil, relay.NewReply(550, relay.EnhancedCode{5, 1, 2}, "no such domain")
			case to.Domain == "slow.test" && failing.Load():
				return nil, relay.NewReply(451, relay.EnhancedCode{4, 4, 3}, "DNS does not answer")
			}
			return &relay.Site{Key: to.Domain}, nil
		}
		r.start(t)
		for range 100 {
			r.send(t, "sender@example.com", "b@gone.test", "c@slow.test")
		}
		after(time.Second)
		if got := len(r.delivered()); got != 100 {
			t.Errorf("%d notices about a domain that does not exist, want 100", got)
		}
		st, _ := r.scheduler.StatusOf(relay.Destination{Route: "test", Domain: "slow.test"})
		if !st.Closed || st.Reason.Text != "DNS does not answer" {
			t.Errorf("status %+v", st)
		}
		failing.Store(false)
		after(time.Minute)
		if got := len(r.delivered()); got != 200 {
			t.Errorf("delivered %d, want 200", got)
		}
		r.wantEmpty(t)
	})
}

// A destination whose resolution has expired is resolved again (C08).
func resolvesAgain(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		var site atomic.Value
		site.Store("old")
		r.transport.SiteOf = func(relay.Destination) (*relay.Site, error) {
			return &relay.Site{Key: site.Load().(string), Expires: time.Now().Add(time.Minute)}, nil
		}
		r.start(t)
		for range 90 {
			r.send(t, "a@example.com", "b@one.test")
			after(time.Second)
		}
		site.Store("new")
		for range 70 {
			r.send(t, "a@example.com", "b@one.test")
			after(time.Second)
		}
		last := r.transport.AllDelivered()[159]
		if last.Site != "new" {
			t.Errorf("still delivered to %q after the TTL", last.Site)
		}
		r.wantEmpty(t)
	})
}

// A reused connection found dead is not an attempt (T09).
func untriedIsNoAttempt(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		var n atomic.Int32
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			if n.Add(1) == 2 {
				a := relaytest.Answer(tr, reply(421, "idle too long"))
				a.Untried = true
				return a
			}
			return relaytest.OK(tr)
		}
		r.start(t)
		r.send(t, "a@example.com", "b@one.test")
		after(time.Second)
		r.send(t, "a@example.com", "c@one.test")
		after(time.Second)
		if got := r.delivered(); len(got) != 2 {
			t.Errorf("delivered %v", got)
		}
		if got := r.observer.AllAttempted(); len(got) != 2 || got[1].Delivery.Attempts != 0 {
			t.Errorf("attempted %+v", got)
		}
		r.wantEmpty(t)
	})
}

// A message that makes an attempt panic is deferred, the rest goes on (X09).
func TestPanic(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			if tr.Recipients[0].Address.Local == "poison" {
				panic("poison")
			}
			return relaytest.OK(tr)
		}
		r.start(t)
		r.send(t, "a@example.com", "poison@one.test")
		for range 10 {
			r.send(t, "a@example.com", "b@one.test")
		}
		after(time.Second)
		left := r.queued(t)
		if len(r.delivered()) != 10 || len(left) != 1 || left[0].Attempts != 1 {
			t.Errorf("delivered %d, left %+v", len(r.delivered()), left)
		}
		if got := r.observer.AllFaults(); len(got) != 1 || !strings.Contains(got[0].Err.Error(), "poison") {
			t.Errorf("faults %+v", got)
		}
	})
}

// faulty is a spool that fails on request.
type faulty struct {
	relay.Spool
	corrupt relay.ID
	settle  atomic.Int32
	claim   atomic.Int32
}

func (f *faulty) Message(ctx context.Context, id relay.ID) (*relay.Message, error) {
	if id == f.corrupt {
		return nil, fmt.Errorf("message %s: %w", id, relay.ErrCorrupt)
	}
	return f.Spool.Message(ctx, id)
}

func (f *faulty) Settle(ctx context.Context, ss ...relay.Settlement) error {
	if f.settle.Add(-1) >= 0 {
		return errors.New("disk full")
	}
	return f.Spool.Settle(ctx, ss...)
}

func (f *faulty) Claim(ctx context.Context, to relay.Destination, flow relay.Flow, now time.Time, n int) ([]relay.Delivery, time.Time, error) {
	if f.claim.Add(-1) >= 0 {
		return nil, time.Time{}, errors.New("disk broken")
	}
	return f.Spool.Claim(ctx, to, flow, now, n)
}

// A corrupt message is set aside, all else is delivered (X05).
func TestCorrupt(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		spool := &faulty{Spool: r.spool}
		r.spool = spool
		r.fill(t)
		r.send(t, "a@example.com", "b@one.test")
		spool.corrupt = r.send(t, "a@example.com", "c@one.test", "c@two.test")
		r.send(t, "a@example.com", "d@one.test")
		r.start(t)
		after(time.Minute)
		if got := r.delivered(); !slices.Equal(got, []string{"b@one.test", "d@one.test"}) {
			t.Errorf("delivered %v", got)
		}
		if left := r.queued(t); len(left) != 0 {
			t.Errorf("left %+v", left)
		}
		if got := r.observer.AllFaults(); len(got) == 0 || !errors.Is(got[0].Err, relay.ErrCorrupt) {
			t.Errorf("faults %+v", got)
		}
	})
}

// A settle that fails is made good: nothing is delivered twice, nothing is forgotten (X04).
func TestSettleFails(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		spool := &faulty{Spool: r.spool}
		spool.settle.Store(20)
		spool.claim.Store(3)
		r.spool = spool
		r.fill(t)
		for range 50 {
			r.send(t, "a@example.com", "b@one.test")
		}
		r.start(t)
		after(time.Minute)
		if got := len(r.delivered()); got != 50 {
			t.Errorf("delivered %d, want 50", got)
		}
		if left := r.queued(t); len(left) != 0 {
			t.Errorf("%d left", len(left))
		}
	})
}

// One message of another sender does not wait behind a flood.
func TestFlood(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Connections = 1
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			time.Sleep(10 * time.Millisecond)
			return relaytest.OK(tr)
		}
		r.fill(t)
		for range 5000 {
			r.send(t, "bulk@bulk.test", "b@one.test")
		}
		r.start(t)
		after(time.Second)
		r.send(t, "person@person.test", "urgent@one.test")
		after(100 * time.Millisecond)
		if got := r.delivered(); !slices.Contains(got, "urgent@one.test") {
			t.Errorf("the urgent message waits behind the flood; %d delivered", len(got))
		}
	})
}

// Deliveries in memory are bounded however many are queued.
func TestMemoryBounded(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Memory, r.options.BinMemory = 64<<10, 16<<10
		hang := make(chan struct{})
		r.transport.OnDeliver = func(ctx context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			select {
			case <-hang:
			case <-ctx.Done():
			}
			return relaytest.OK(tr)
		}
		r.start(t)
		for i := range 6000 {
			r.send(t, fmt.Sprintf("a@sender%d.test", i%100), fmt.Sprintf("b@site%d.test", i%20))
		}
		after(time.Second)
		var loaded int
		for _, st := range r.scheduler.Status() {
			loaded += st.Loaded
		}
		if loaded > 1000 {
			t.Errorf("%d deliveries in memory", loaded)
		}
		close(hang)
		after(time.Minute)
		if got := len(r.delivered()); got != 6000 {
			t.Errorf("delivered %d of 6000", got)
		}
		r.wantEmpty(t)
	})
}

// One destination of a hundred that never answers holds up no other (X10).
func TestOneHangs(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.transport.OnDeliver = func(ctx context.Context, s *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			if s.Key == "test/site0.test" {
				<-ctx.Done()
				return relaytest.Answer(tr, reply(421, "cut short"))
			}
			return relaytest.OK(tr)
		}
		r.start(t)
		for i := range 2000 {
			r.send(t, "a@example.com", fmt.Sprintf("b@site%d.test", i%100))
		}
		after(time.Second)
		if got := len(r.delivered()); got != 1980 {
			t.Errorf("delivered %d, want 1980", got)
		}
		left := r.queued(t)
		u, active := r.scheduler.Underway(left[0].DeliveryID)
		if !active || u.Host != "peer.test" || time.Since(u.Since) < time.Second {
			t.Errorf("the attempt that hangs is shown as %+v, %v", u, active)
		}
	})
}

// A stop lets attempts finish within the grace time, cuts the others short without counting
// them, and leaves everything for the next start.
func TestStop(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.transport.OnDeliver = func(ctx context.Context, s *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			wait := 3 * time.Second
			if s.Key == "test/slow.test" {
				wait = time.Hour
			}
			select {
			case <-time.After(wait):
				return relaytest.OK(tr)
			case <-ctx.Done():
				a := relaytest.Answer(tr, reply(421, "cut short"))
				a.Setback = true
				return a
			}
		}
		r.start(t)
		for range 10 {
			r.send(t, "a@example.com", "b@fast.test")
			r.send(t, "a@example.com", "b@slow.test")
		}
		after(time.Second)
		began := time.Now()
		r.stop()
		if took := time.Since(began); took > relay.DefaultGrace+time.Second {
			t.Errorf("stopped after %v", took)
		}
		if got := len(r.delivered()); got == 0 || got > 10 {
			t.Errorf("delivered %d", got)
		}
		left := r.queued(t)
		if len(left)+len(r.delivered()) != 20 {
			t.Errorf("%d left and %d delivered of 20", len(left), len(r.delivered()))
		}
		for _, d := range left {
			if d.Attempts != 0 {
				t.Errorf("an attempt that was cut short counts: %+v", d)
			}
		}
		r.transport.OnDeliver = nil
		r.start(t)
		after(time.Second)
		if got := len(r.delivered()); got != 20 {
			t.Errorf("delivered %d after the restart", got)
		}
		r.wantEmpty(t)
	})
}

// Whatever peers answer, each recipient ends in exactly one way, and nothing is left.
func TestEveryRecipientHasOneFate(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Connections = 3
		r.transport.OnDial = func(context.Context, *relay.Site) error {
			if rand.IntN(10) < 3 {
				return relay.NewReply(451, relay.EnhancedCode{4, 4, 1}, "connection refused")
			}
			return nil
		}
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			a := relaytest.OK(tr)
			if tr.Message.Envelope.Sender.IsNull() {
				return a
			}
			for i := range a.Replies {
				a.Replies[i] = []relay.Reply{reply(250, "ok"), reply(450, "later"), reply(550, "no"), {}}[rand.IntN(4)]
			}
			a.Setback = rand.IntN(10) == 0
			a.Untried = rand.IntN(20) == 0
			if a.Untried {
				a = relaytest.Answer(tr, reply(421, "bye"))
				a.Untried = true
			}
			return a
		}
		r.start(t)
		const messages, rcpts = 300, 7
		for i := range messages {
			var to []string
			for k := range rcpts {
				to = append(to, fmt.Sprintf("r%d-%d@site%d.test", i, k, rand.IntN(4)))
			}
			r.send(t, "sender@example.com", to...)
			after(time.Duration(rand.IntN(2000)) * time.Millisecond)
		}
		after(30 * time.Hour)
		fates := map[string]int{}
		for _, a := range r.observer.AllAttempted() {
			for _, o := range a.Outcomes {
				if o.Status != relay.Deferred && o.Status != relay.Moved && !a.Message.Envelope.Sender.IsNull() {
					fates[o.Recipient.Address.String()]++
				}
			}
		}
		for rcpt, n := range fates {
			if n != 1 {
				t.Errorf("%s has %d fates", rcpt, n)
			}
		}
		if len(fates) != messages*rcpts {
			t.Errorf("%d recipients have a fate, want %d", len(fates), messages*rcpts)
		}
		r.wantEmpty(t)
	})
}
