package relay_test

import (
	"context"
	"reflect"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
)

// memoir is a History that takes notes.
type memoir struct {
	relay.History
	lives []relay.Life
	// commits counts those lives that were written with their message.
	commits int
}

func (h *memoir) Record(_ context.Context, m *relay.Message, events ...relay.Event) error {
	h.lives = append(h.lives, relay.Life{Facts: relay.FactsOf(m), Events: events})
	return nil
}

// memoirs is a spool that writes down what is to be remembered of messages that arrive.
type memoirs struct {
	relay.Spool
	h *memoir
}

func (s *memoirs) Create(ctx context.Context) (relay.Draft, error) {
	d, err := s.Spool.Create(ctx)
	return memoirsDraft{d, s.h}, err
}

type memoirsDraft struct {
	relay.Draft
	h *memoir
}

func (d memoirsDraft) Commit(ctx context.Context, m *relay.Message, ds []relay.Delivery, events ...relay.Event) error {
	if len(events) > 0 {
		d.h.commits++
		if err := d.h.Record(ctx, m, events...); err != nil {
			return err
		}
	}
	return d.Draft.Commit(ctx, m, ds)
}

// What a rule throws away is remembered, with those recipients that the message never had.
func TestRemembersWhatIsThrownAway(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		h := &memoir{}
		r.history, r.spool = h, &memoirs{r.spool, h}
		r.policy.Rule = func(stage string, _ *relay.Message, rcpt relay.Recipient) relay.Ruling {
			if stage == "rcpt" && rcpt.Address.Local == "trash" {
				return relay.Ruling{Edits: &relay.Edits{Discard: true}}
			}
			return relay.Ruling{}
		}
		r.start(t)
		id := r.send(t, "ann@one.example", "a@site.test", "trash@site.test")
		r.send(t, "ann@one.example", "b@site.test")
		synctest.Wait()
		if len(h.lives) != 1 || h.lives[0].ID != id || h.commits != 1 {
			t.Fatalf("remembered %+v, %d with their message, want one life, with it", h.lives, h.commits)
		}
		got := h.lives[0].Events[0]
		if len(h.lives[0].Events) != 1 || !got.Final() || !reflect.DeepEqual(got.Removed, []string{"trash@site.test"}) || got.Recipients != nil {
			t.Errorf("remembered %+v", got)
		}
		r.wantEmpty(t)
	})
}

// settlements is a spool that takes notes of the events that it is told of.
type settlements struct {
	relay.Spool
	events []relay.Event
}

func (s *settlements) Settle(ctx context.Context, ss ...relay.Settlement) error {
	for _, st := range ss {
		s.events = append(s.events, st.Events...)
	}
	return s.Spool.Settle(ctx, ss...)
}

// Each recipient has one final event, with what was said of it and how often it was tried.
func TestEvents(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		s := &settlements{Spool: r.spool}
		r.spool = s
		r.options.Connections = 1
		var patient atomic.Bool
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			a := relaytest.OK(tr)
			for i, rcpt := range tr.Recipients {
				switch {
				case rcpt.Address.Local == "nobody":
					a.Replies[i] = reply(550, "no such user")
				case rcpt.Address.Local == "busy" && !patient.Load():
					a.Replies[i] = reply(450, "busy")
				}
			}
			return a
		}
		r.start(t)
		r.send(t, "", "a@site.test", "b@site.test", "nobody@site.test", "busy@site.test")
		synctest.Wait()
		patient.Store(true)
		after(time.Hour)
		want := []relay.Event{
			{What: "delivered", Recipients: []int{0, 1}, Attempts: 1},
			{What: "bounced", Recipients: []int{2}, Attempts: 1},
			{What: "deferred", Recipients: []int{3}, Attempts: 1},
			{What: "delivered", Recipients: []int{3}, Attempts: 2},
		}
		if len(s.events) != len(want) {
			t.Fatalf("got %+v, want %+v", s.events, want)
		}
		for i, w := range want {
			g := s.events[i]
			if g.What != w.What || !reflect.DeepEqual(g.Recipients, w.Recipients) || g.Attempts != w.Attempts || g.Host != "peer.test" || g.At.IsZero() || g.Reply.Code == 0 {
				t.Errorf("event %d: got %+v, want %+v", i, g, w)
			}
			if final := w.What != "deferred"; g.Final() != final {
				t.Errorf("event %d: final is %v, want %v", i, g.Final(), final)
			}
		}
		r.wantEmpty(t)
	})
}
