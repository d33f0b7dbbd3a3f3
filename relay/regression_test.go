package relay_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
)

// hooked is a spool whose steps can be interfered with.
type hooked struct {
	relay.Spool
	body   func(relay.ID) error
	commit func()
	settle func(context.Context)
}

func (h *hooked) Body(ctx context.Context, m *relay.Message) (io.ReadSeekCloser, error) {
	if h.body != nil {
		if err := h.body(m.ID); err != nil {
			return nil, err
		}
	}
	return h.Spool.Body(ctx, m)
}

func (h *hooked) Settle(ctx context.Context, ss ...relay.Settlement) error {
	if h.settle != nil {
		h.settle(ctx)
	}
	return h.Spool.Settle(ctx, ss...)
}

func (h *hooked) Create(ctx context.Context) (relay.Draft, error) {
	d, err := h.Spool.Create(ctx)
	return hookedDraft{d, h}, err
}

type hookedDraft struct {
	relay.Draft
	h *hooked
}

func (d hookedDraft) Commit(ctx context.Context, m *relay.Message, ds []relay.Delivery, events ...relay.Event) error {
	if d.h.commit != nil {
		d.h.commit()
	}
	return d.Draft.Commit(ctx, m, ds, events...)
}

// A message is quarantined by one courier while another is delivering it.
func TestQuarantineWhileInFlight(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		h := &hooked{Spool: r.spool}
		var bodies atomic.Int32
		h.body = func(relay.ID) error {
			if bodies.Add(1) == 2 {
				return relay.ErrCorrupt
			}
			return nil
		}
		r.spool = h
		r.transport.OnDial = func(_ context.Context, s *relay.Site) error {
			if s.Key == "test/two.test" {
				time.Sleep(time.Second)
			}
			return nil
		}
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			time.Sleep(10 * time.Second)
			return relaytest.OK(tr)
		}
		r.start(t)
		r.send(t, "a@example.com", "b@one.test", "c@two.test")
		after(time.Hour)
		if n := r.transport.Open("test/one.test"); n != 0 {
			t.Errorf("%d connections to one.test open after an hour", n)
		}
		if n := len(r.observer.AllFaults()); n > 3 {
			t.Errorf("%d faults, last: %v", n, r.observer.AllFaults()[n-1].Err)
		}
		for _, st := range r.scheduler.Status() {
			t.Errorf("bin left: %+v", st)
		}
	})
}

// A delivery waits in memory while another part of its message is quarantined.
func TestQuarantineWhileLoaded(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		h := &hooked{Spool: r.spool}
		var first atomic.Bool
		h.body = func(relay.ID) error {
			if first.CompareAndSwap(false, true) {
				return relay.ErrCorrupt
			}
			return nil
		}
		r.spool = h
		r.transport.OnDial = func(_ context.Context, s *relay.Site) error {
			if s.Key == "test/two.test" {
				time.Sleep(time.Second)
			}
			return nil
		}
		r.start(t)
		r.send(t, "a@example.com", "b@one.test", "c@two.test")
		after(time.Hour)
		if n := len(r.observer.AllFaults()); n > 3 {
			t.Errorf("%d faults, last: %v", n, r.observer.AllFaults()[n-1].Err)
		}
		if n := r.transport.Open("test/two.test"); n != 0 {
			t.Errorf("%d connections open after an hour", n)
		}
	})
}

// A delivery that enters the bin when its destination, resolved before, has just become
// unresolvable, stops the bin for good.
func TestStuckBin(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		h := &hooked{Spool: r.spool}
		r.spool = h
		var failing, busy atomic.Bool
		busy.Store(true)
		r.transport.SiteOf = func(relay.Destination) (*relay.Site, error) {
			if failing.Load() {
				time.Sleep(5 * time.Second)
				return nil, relay.NewReply(451, relay.EnhancedCode{4, 4, 3}, "DNS does not answer")
			}
			return &relay.Site{Key: "one", Expires: time.Now().Add(30 * time.Second)}, nil
		}
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			if busy.Load() {
				return relaytest.Answer(tr, reply(450, "later"))
			}
			return relaytest.OK(tr)
		}
		r.start(t)
		r.send(t, "a@example.com", "b@one.test") // deferred for a minute: keeps the bin and its pool
		after(59 * time.Second)
		busy.Store(false)
		failing.Store(true)
		after(time.Second) // the retry begins to resolve
		h.commit = func() { time.Sleep(10 * time.Second) }
		r.send(t, "x@other.test", "c@one.test") // reserved at 60 s, committed at 70 s, unresolved at 65 s
		h.commit = nil
		failing.Store(false)
		after(3 * time.Hour)
		if got := r.delivered(); len(got) != 2 {
			t.Errorf("delivered %v of two in three hours", got)
			for _, st := range r.scheduler.Status() {
				t.Logf("%+v", st)
			}
		}
	})
}

// The gate's reason is the reply to somebody's first recipient; mail that expires behind
// it is taken to have been delivered.
func TestExpiredIsNotDelivered(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Retry.MaxAge = 10 * time.Minute
		r.options.Connections = 20
		var dead atomic.Bool
		r.transport.OnDial = func(context.Context, *relay.Site) error {
			if dead.Load() {
				return relay.NewReply(451, relay.EnhancedCode{4, 4, 1}, "connection refused")
			}
			return nil
		}
		hang := make(chan struct{})
		r.transport.OnDeliver = func(_ context.Context, s *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			if len(tr.Recipients) == 1 {
				time.Sleep(time.Millisecond)
				return relaytest.OK(tr)
			}
			<-hang
			a := relaytest.Answer(tr, reply(421, "closing"))
			a.Replies[0] = reply(250, "queued as 1234")
			a.Setback = true
			return a
		}
		r.start(t)
		for range 60 { // opens the window
			r.send(t, "a@example.com", "b@one.test")
		}
		after(time.Second)
		for range 40 {
			r.send(t, "a@example.com", "b@one.test", "c@one.test")
		}
		after(time.Second)
		dead.Store(true)
		close(hang)
		after(20 * time.Minute)
		sent := map[string]int{}
		for _, d := range r.transport.AllDelivered() {
			if d.Site == "test/one.test" {
				sent[d.Message.String()+d.Recipient.String()]++
			}
		}
		wrong := 0
		for _, a := range r.observer.AllAttempted() {
			for _, o := range a.Outcomes {
				if o.Status == relay.Delivered && a.Delivery.To.Domain == "one.test" && sent[a.Delivery.Message.String()+o.Recipient.Address.String()] == 0 {
					wrong++
				}
			}
		}
		if wrong > 0 {
			t.Errorf("%d recipients reported as delivered that no host was given", wrong)
		}
	})
}

// One event, twenty connections: the gate of a smart host must not close for a minute.
func TestManySetbacksAreOneEvent(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.transport.SiteOf = func(relay.Destination) (*relay.Site, error) { return &relay.Site{Key: "smart", Smart: true}, nil }
		restart := make(chan struct{})
		var slow atomic.Bool
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			if !slow.Load() {
				time.Sleep(time.Millisecond)
				return relaytest.OK(tr)
			}
			<-restart
			a := relaytest.Answer(tr, reply(421, "service restarting"))
			a.Setback = true
			return a
		}
		r.start(t)
		for range 100 {
			r.send(t, "a@example.com", "b@one.test")
		}
		after(time.Second)
		slow.Store(true)
		for range 100 {
			r.send(t, "a@example.com", "b@one.test")
		}
		after(time.Second)
		close(restart)
		synctest.Wait()
		slow.Store(false)
		st := r.scheduler.Status()[0]
		if wait := time.Until(st.Until); wait > 5*time.Second {
			t.Errorf("probe in %v after one restart of a smart host (%d in flight)", wait, r.transport.Most("smart"))
		}
	})
}

// A host that takes connections and hangs up on every message: no backoff.
func TestHangUpBacksOff(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		var attempts atomic.Int32
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			attempts.Add(1)
			a := relaytest.Answer(tr, reply(421, "closing"))
			a.Setback = true
			return a
		}
		r.fill(t)
		for range 3000 {
			r.send(t, "a@example.com", "b@one.test")
		}
		r.start(t)
		after(2 * time.Hour)
		if got := attempts.Load(); got > 200 {
			t.Errorf("%d attempts in two hours at a host that hangs up on everything", got)
		}
	})
}

// A site with endless work keeps all of ConnectionsTotal for itself.
func TestBlockedPoolIsServed(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Connections, r.options.ConnectionsTotal, r.options.MessagesPerConnection = 2, 2, 10
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			time.Sleep(10 * time.Millisecond)
			return relaytest.OK(tr)
		}
		r.start(t)
		for range 3000 {
			r.send(t, "bulk@bulk.test", "b@one.test")
		}
		after(time.Second)
		r.send(t, "p@person.test", "urgent@two.test")
		after(5 * time.Second)
		for _, rcpt := range r.delivered() {
			if rcpt == "urgent@two.test" {
				return
			}
		}
		t.Errorf("not delivered in 5 s, in which %d others were over %d connections", len(r.delivered()), r.transport.Dials("test/one.test"))
	})
}

// Destinations that hang take all of Memory; a healthy one is not served.
func TestMemoryIsShared(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Memory, r.options.BinMemory = 64<<10, 16<<10
		r.transport.OnDeliver = func(ctx context.Context, s *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			if strings.HasPrefix(s.Key, "test/slow") {
				<-ctx.Done()
				return relaytest.Answer(tr, reply(421, "cut short"))
			}
			return relaytest.OK(tr)
		}
		r.start(t)
		for i := range 2000 {
			r.send(t, fmt.Sprintf("a@sender%d.test", i), fmt.Sprintf("b@slow%d.test", i%5))
			if i%100 == 0 {
				after(time.Second)
			}
		}
		after(time.Second)
		r.send(t, "p@person.test", "urgent@fast.test")
		after(time.Hour)
		if n := len(r.delivered()); n != 1 {
			t.Errorf("delivered %d to the healthy destination in an hour", n)
		}
	})
}

// A message that makes the policy panic at its route.
func TestPanicInRoute(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		var accepted atomic.Bool
		var panics atomic.Int32
		r.policy.RouteTo = func(_ *relay.Origin, _ *relay.Envelope, rcpt relay.Recipient) (relay.Destination, *relay.Reply) {
			if accepted.Load() && rcpt.Address.Local == "poison" && panics.Load() < 5000 {
				panics.Add(1)
				panic("poison")
			}
			return relay.Destination{Route: "test", Domain: rcpt.Address.Domain}, nil
		}
		r.transport.OnDial = func(context.Context, *relay.Site) error { time.Sleep(time.Millisecond); return nil }
		r.start(t)
		r.send(t, "a@example.com", "b@one.test")
		after(time.Second)
		h := &hooked{Spool: r.spool}
		_ = h
		o := origin
		tx := r.receiver.Begin(&o)
		tx.Mail(context.Background(), relay.Envelope{Sender: address("a@example.com")}, 0)
		tx.Rcpt(context.Background(), relay.Recipient{Address: address("poison@one.test")})
		accepted.Store(true)
		tx.Data(context.Background(), strings.NewReader(content))
		after(time.Minute)
		if n := panics.Load(); n > 10 {
			t.Errorf("%d panics, %d dials in a minute: a busy loop", n, r.transport.Dials("test/one.test"))
		}
	})
}

// A delivery that is in memory at the minute of its warning is never warned about.
func TestWarningOfLoaded(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Retry.WarnAfter = 4 * time.Hour
		began := time.Now()
		r.transport.OnDial = func(_ context.Context, s *relay.Site) error {
			if s.Key != "test/dead.test" {
				return nil
			}
			if age := time.Since(began); age > 3*time.Hour+30*time.Minute && age < 4*time.Hour {
				time.Sleep(4*time.Hour + 2*time.Minute - age) // a slow probe
			}
			return relay.NewReply(451, relay.EnhancedCode{4, 4, 1}, "timeout")
		}
		r.start(t)
		r.send(t, "s@example.com", "b@dead.test")
		after(20 * time.Hour)
		if n := len(r.transport.AllDelivered()); n != 1 {
			t.Errorf("the sender was told of the delay %d times in 20 hours", n)
		}
	})
}

// A stop while the disk is full.
func TestStopWhileSettleWaits(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		free := make(chan struct{})
		h := &hooked{Spool: r.spool}
		h.settle = func(ctx context.Context) {
			select {
			case <-free:
			case <-ctx.Done():
			}
		}
		r.spool = h
		r.start(t)
		r.send(t, "a@example.com", "b@one.test")
		after(time.Second)
		stopped := make(chan struct{})
		stop := r.stop
		go func() { stop(); close(stopped) }()
		after(time.Hour)
		select {
		case <-stopped:
		default:
			t.Error("still stopping after an hour")
		}
		close(free)
		<-stopped
	})
}

// A flow that empties its queue still owes for what it was served.
func TestFairnessRemembers(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Connections = 1
		var greedy, modest atomic.Int32
		again := make(chan struct{}, 100)
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			time.Sleep(10 * time.Millisecond)
			if tr.Message.Envelope.Sender.Domain == "modest.test" {
				modest.Add(int32(len(tr.Recipients)))
				return relaytest.OK(tr)
			}
			greedy.Add(int32(len(tr.Recipients)))
			again <- struct{}{}
			return relaytest.OK(tr)
		}
		r.start(t)
		for range 400 {
			r.send(t, "a@modest.test", "b@one.test")
		}
		to := numbered("r%d@one.test", 100)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 100 {
				r.send(t, "g@greedy.test", to...)
				<-again
			}
		}()
		after(2 * time.Second)
		if g, m := greedy.Load(), modest.Load(); g > 10*m {
			t.Errorf("served %d recipients of the greedy flow and %d of the modest one", g, m)
		}
		after(time.Hour)
		<-done
	})
}

// An internationalised domain in a notice.
func TestNoticeInternationalDomain(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.transport.OnDeliver = func(_ context.Context, s *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			if s.Key == "test/one.test" {
				return relaytest.Answer(tr, reply(550, "no"))
			}
			m := tr.Message
			for _, c := range m.Header {
				if c >= 0x80 && !m.Envelope.SMTPUTF8 {
					t.Errorf("UTF-8 header in a notice without SMTPUTF8:\n%s", m.Header)
					break
				}
			}
			return relaytest.OK(tr)
		}
		r.start(t)
		r.send(t, "sender@bücher.test", "b@one.test")
		after(time.Second)
	})
}

// A sender is told that mail failed while it is still queued.
func TestWarningIsNoBounce(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Retry.WarnAfter = 2 * time.Minute
		hang := make(chan struct{})
		r.transport.OnDeliver = func(_ context.Context, s *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			if len(tr.Recipients) == 1 || s.Key != "test/one.test" {
				time.Sleep(time.Millisecond)
				return relaytest.OK(tr)
			}
			select {
			case <-hang:
			case <-time.After(time.Hour):
			}
			a := relaytest.Answer(tr, reply(421, "closing"))
			a.Replies[0] = reply(550, "no such user")
			a.Setback = true
			return a
		}
		r.start(t)
		for range 60 {
			r.send(t, "a@example.com", "b@one.test")
		}
		after(time.Second)
		for i := range 40 {
			r.send(t, fmt.Sprintf("s%d@example.com", i), "b@one.test", "c@one.test")
		}
		after(100 * time.Millisecond)
		close(hang)
		after(3 * time.Minute)
		failed, queued := map[string]bool{}, 0
		for _, d := range r.transport.AllDelivered() {
			if d.Site == "test/example.com" && strings.Contains(d.Content, "c@one.test") && strings.Contains(d.Content, "is not tried again") {
				failed[d.Recipient.String()] = true
			}
		}
		for range r.queued(t) {
			queued++
		}
		if len(failed) > 0 {
			t.Errorf("%d senders were told that c@one.test is given up, %d deliveries are still queued", len(failed), queued)
		}
	})
}

// Silent DNS of some domains holds up the others.
func TestSilentDNS(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.transport.SiteOf = func(to relay.Destination) (*relay.Site, error) {
			if strings.HasPrefix(to.Domain, "silent") {
				time.Sleep(20 * time.Second)
				return nil, relay.NewReply(451, relay.EnhancedCode{4, 4, 3}, "DNS does not answer")
			}
			return &relay.Site{Key: to.Domain}, nil
		}
		r.start(t)
		for i := range 1000 {
			r.send(t, "a@example.com", fmt.Sprintf("b@silent%d.test", i))
		}
		after(time.Second)
		r.send(t, "p@person.test", "urgent@fast.test")
		began := time.Now()
		for len(r.delivered()) == 0 && time.Since(began) < 2*time.Hour {
			after(time.Second)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("delivered after %v", took)
		}
	})
}

// Idle connections elsewhere keep a new site waiting.
func TestIdleMakesRoom(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.ConnectionsTotal = 2
		r.start(t)
		r.send(t, "a@example.com", "b@one.test")
		r.send(t, "a@example.com", "b@two.test")
		after(100 * time.Millisecond)
		r.send(t, "a@example.com", "b@three.test")
		after(time.Second)
		if len(r.delivered()) != 3 {
			t.Errorf("waits for the idle connections of others: delivered %v", r.delivered())
		}
	})
}

// A stop between reading the record and the body counts as an attempt.
func TestStopIsNoAttempt(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		h := &hooked{Spool: r.spool}
		h.body = func(relay.ID) error {
			time.Sleep(time.Minute)
			return context.Canceled
		}
		r.spool = h
		r.start(t)
		r.send(t, "a@example.com", "b@one.test")
		after(time.Second)
		r.stop()
		for _, d := range r.queued(t) {
			if d.Attempts != 0 {
				t.Errorf("%+v", d)
			}
		}
	})
}
