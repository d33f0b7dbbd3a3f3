package relay_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
)

// operator makes an operator for the rig's scheduler. Its notes stay the rig's.
func (r *rig) operator(t *testing.T, notes relay.Notes) *relay.Operator {
	t.Helper()
	o, err := relay.NewOperator(context.Background(), relay.OperatorOptions{Scheduler: r.scheduler, Notes: notes})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// do carries out an order and checks the counts.
func do(t *testing.T, o *relay.Operator, order relay.Order, want relay.Tally) {
	t.Helper()
	order.Author, order.Reason = "ann", "because"
	got, err := o.Do(context.Background(), order, nil)
	if err != nil {
		t.Fatalf("%s: %v", order.Action, err)
	}
	if got != want {
		t.Errorf("%s: got %+v, want %+v", order.Action, got, want)
	}
}

// states counts the states of what is queued.
func (r *rig) states(t *testing.T) map[relay.State]int {
	t.Helper()
	states := make(map[relay.State]int)
	for _, d := range r.queued(t) {
		states[r.scheduler.StateOf(&d)]++
	}
	return states
}

func TestHoldAndRelease(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.fill(t)
		for _, from := range []string{"ann@one.example", "bob@two.example", "eve@one.example"} {
			r.send(t, from, "a@site.test", "b@other.test")
		}
		r.build(t)
		o := r.operator(t, &relaytest.Notes{})
		one := relay.Selector{Sender: "*@ONE.example", Destination: "test/site.test"}
		do(t, o, relay.Order{Action: relay.ActionHold, Select: one, DryRun: true}, relay.Tally{Seen: 6, Matched: 2})
		do(t, o, relay.Order{Action: relay.ActionHold, Select: one}, relay.Tally{Seen: 6, Matched: 2, Changed: 2})
		do(t, o, relay.Order{Action: relay.ActionHold, Select: one}, relay.Tally{Seen: 6, Matched: 2, Unchanged: 2})
		r.run()
		after(time.Hour)
		if got := len(r.delivered()); got != 4 {
			t.Errorf("%d delivered, want 4", got)
		}
		for _, d := range r.queued(t) {
			if d.Held != "by ann: because" || d.To.Domain != "site.test" {
				t.Errorf("left: %+v", d)
			}
		}
		held := relay.Selector{States: []relay.State{relay.StateHeld}}
		do(t, o, relay.Order{Action: relay.ActionRelease, Select: held}, relay.Tally{Seen: 2, Matched: 2, Changed: 2})
		synctest.Wait()
		if got := len(r.delivered()); got != 6 {
			t.Errorf("%d delivered, want 6", got)
		}
		r.wantEmpty(t)
		journal, err := o.Journal(context.Background())
		if err != nil || len(journal) != 2 || journal[0].Author != "ann" || journal[1].Action != "release" || journal[1].Tally.Changed != 2 {
			t.Errorf("journal: %+v, %v", journal, err)
		}
	})
}

// What is held does not expire, and has the rest of its time once it is released.
func TestHeldDoesNotExpire(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.transport.OnDeliver = func(_ context.Context, s *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			if s.Key == "test/site.test" {
				return relaytest.Answer(tr, reply(450, "not yet"))
			}
			return relaytest.OK(tr)
		}
		r.fill(t)
		r.send(t, "ann@one.example", "a@site.test")
		r.build(t)
		o := r.operator(t, &relaytest.Notes{})
		do(t, o, relay.Order{Action: relay.ActionHold, All: true}, relay.Tally{Seen: 1, Matched: 1, Changed: 1})
		r.run()
		after(72 * time.Hour)
		if got := r.states(t); got[relay.StateHeld] != 1 || len(r.observer.AllAttempted()) != 0 {
			t.Fatalf("after three days: %v, %+v", got, r.observer.AllAttempted())
		}
		do(t, o, relay.Order{Action: relay.ActionRelease, All: true}, relay.Tally{Seen: 1, Matched: 1, Changed: 1})
		after(23 * time.Hour)
		if got := len(r.queued(t)); got != 1 {
			t.Fatalf("a day of age, less than that after its release: %d left, want 1", got)
		}
		after(2 * time.Hour)
		if got := r.transport.AllDelivered(); len(got) != 1 || !strings.Contains(got[0].Content, "450 not yet") {
			t.Errorf("notices: %+v", got)
		}
		r.wantEmpty(t)
	})
}

// Deliveries that wait in memory are taken from there; those that are being attempted end
// first, and have one outcome (X08).
func TestOrdersWhileUnderWay(t *testing.T) {
	for _, action := range []relay.Action{relay.ActionHold, relay.ActionDelete, relay.ActionBounce} {
		t.Run(action.String(), func(t *testing.T) {
			inTime(t, func(t *testing.T, r *rig) {
				const n = 300
				r.options.Connections = 2
				r.transport.OnDeliver = func(_ context.Context, s *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
					if s.Key == "test/site.test" {
						time.Sleep(3 * time.Second)
					}
					return relaytest.OK(tr)
				}
				r.start(t)
				for range n {
					r.send(t, "ann@one.example", "a@site.test")
				}
				o := r.operator(t, &relaytest.Notes{})
				synctest.Wait()
				tally, err := o.Do(context.Background(), relay.Order{
					Action: action, Select: relay.Selector{Destination: "test/site.test"}, Author: "ann", Reason: "x",
				}, nil)
				if err != nil || tally.Matched != n || tally.Changed+tally.Unchanged != n || tally.Unchanged == 0 || tally.Changed < n-20 {
					t.Errorf("got %+v, %v", tally, err)
				}
				after(time.Hour)
				fates := make(map[relay.ID]int)
				for _, a := range r.observer.AllAttempted() {
					if a.Message.Envelope.Sender.Domain == "one.example" {
						fates[a.Delivery.Message]++
					}
				}
				held := r.states(t)[relay.StateHeld]
				if len(fates)+held != n || held > 0 && action != relay.ActionHold {
					t.Errorf("%d have a fate and %d are held, want %d", len(fates), held, n)
				}
				for id, fate := range fates {
					if fate != 1 {
						t.Errorf("%s has %d outcomes", id, fate)
					}
				}
				do(t, o, relay.Order{Action: relay.ActionDelete, Select: relay.Selector{Destination: "test/site.test"}},
					relay.Tally{Seen: held, Matched: held, Changed: held})
				after(time.Minute)
				r.wantEmpty(t)
			})
		})
	}
}

// A message that is returned to its sender is returned with one notice.
func TestBounceByOperator(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.fill(t)
		id := r.send(t, "ann@one.example", "a@site.test", "b@other.test")
		keep := r.send(t, "ann@one.example", "c@site.test")
		r.build(t)
		o := r.operator(t, &relaytest.Notes{})
		do(t, o, relay.Order{Action: relay.ActionHold, All: true}, relay.Tally{Seen: 3, Matched: 3, Changed: 3})
		do(t, o, relay.Order{Action: relay.ActionBounce, Select: relay.Selector{IDs: []relay.ID{id}}, Text: "Wrong list"},
			relay.Tally{Seen: 2, Matched: 2, Changed: 2})
		r.run()
		synctest.Wait()
		got := r.transport.AllDelivered()
		if len(got) != 1 || got[0].Recipient.String() != "ann@one.example" || strings.Count(got[0].Content, "Diagnostic-Code: smtp; 554 5.0.0 Wrong list") != 2 {
			t.Errorf("notices: %+v", got)
		}
		if left := r.queued(t); len(left) != 1 || left[0].Message != keep {
			t.Errorf("left: %+v", left)
		}
		do(t, o, relay.Order{Action: relay.ActionDelete, Select: relay.Selector{Recipient: "c@*"}}, relay.Tally{Seen: 1, Matched: 1, Changed: 1})
		r.wantEmpty(t)
	})
}

func TestRerouteByOperator(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.policy.Routing = func(_ *relay.Message, rcpt relay.Recipient) (relay.Routing, *relay.Reply) {
			if rcpt.Route == "none" {
				return relay.Routing{}, relay.NewReply(451, relay.EnhancedCode{4, 4, 4}, "no such route")
			}
			if rcpt.Route != "" {
				return relay.Routing{To: relay.Destination{Route: rcpt.Route}}, nil
			}
			return relay.Routing{To: relay.Destination{Route: "rules", Domain: rcpt.Address.Domain}}, nil
		}
		r.transport.OnDial = func(_ context.Context, s *relay.Site) error {
			if strings.HasPrefix(s.Key, "rules/") {
				return relay.NewReply(451, relay.EnhancedCode{4, 4, 1}, "connection refused")
			}
			return nil
		}
		r.start(t)
		r.send(t, "ann@one.example", "a@site.test", "b@other.test")
		after(time.Minute)
		o := r.operator(t, &relaytest.Notes{})
		blocked := relay.Selector{States: []relay.State{relay.StateBlocked}}
		do(t, o, relay.Order{Action: relay.ActionReroute, Select: blocked, Route: "none"}, relay.Tally{Seen: 2, Matched: 2, Failed: 2})
		if faults := r.observer.AllFaults(); len(faults) != 1 {
			t.Errorf("faults: %v", faults)
		}
		do(t, o, relay.Order{Action: relay.ActionReroute, Select: blocked, Route: "backup"}, relay.Tally{Seen: 2, Matched: 2, Changed: 2})
		after(time.Second)
		if got := r.delivered(); len(got) != 2 || len(r.queued(t)) != 0 {
			t.Errorf("delivered %v, left %+v", got, r.queued(t))
		}
	})
}

// A retry brings forward what waits for its own time, and probes what waits for its host.
func TestRetryByOperator(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		var down atomic.Bool
		down.Store(true)
		r.transport.OnDial = func(_ context.Context, s *relay.Site) error {
			if down.Load() && s.Key == "test/dead.test" {
				return relay.NewReply(451, relay.EnhancedCode{4, 4, 1}, "connection refused")
			}
			return nil
		}
		r.transport.OnDeliver = func(_ context.Context, s *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			if down.Load() && s.Key == "test/busy.test" {
				return relaytest.Answer(tr, reply(450, "later"))
			}
			return relaytest.OK(tr)
		}
		r.start(t)
		r.send(t, "ann@one.example", "a@dead.test", "b@busy.test")
		after(3 * time.Hour)
		want := map[relay.State]int{relay.StateBlocked: 1, relay.StateDeferred: 1}
		if got := r.states(t); got[relay.StateBlocked] != want[relay.StateBlocked] || got[relay.StateDeferred] != want[relay.StateDeferred] {
			t.Fatalf("got %v, want %v", got, want)
		}
		down.Store(false)
		o := r.operator(t, &relaytest.Notes{})
		tally, err := o.Do(context.Background(), relay.Order{Action: relay.ActionRetry, All: true, Author: "ann", Reason: "x"}, nil)
		if err != nil || tally.Matched != 2 || tally.Changed == 0 {
			t.Errorf("got %+v, %v", tally, err)
		}
		after(time.Second)
		if got := len(r.delivered()); got != 2 {
			t.Errorf("%d delivered, want 2", got)
		}
		r.wantEmpty(t)
	})
}

func TestOrdersRefused(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.fill(t)
		r.send(t, "ann@one.example", "a@site.test")
		r.build(t)
		o := r.operator(t, &relaytest.Notes{})
		some := relay.Selector{Sender: "*"}
		for name, order := range map[string]relay.Order{
			"no action": {Select: some, Author: "a", Reason: "r"},
			"no author": {Action: relay.ActionDelete, Select: some, Reason: "r"},
			"no reason": {Action: relay.ActionDelete, Select: some, Author: "a"},
			"all":       {Action: relay.ActionDelete, Author: "a", Reason: "r"},
			"route":     {Action: relay.ActionDelete, Select: some, Author: "a", Reason: "r", Route: "x"},
		} {
			if tally, err := o.Do(context.Background(), order, nil); !errors.Is(err, relay.ErrOrder) || tally != (relay.Tally{}) {
				t.Errorf("%s: got %+v, %v, want ErrOrder", name, tally, err)
			}
		}
		if err := o.Pause(context.Background(), relay.Pause{Destination: "x"}); !errors.Is(err, relay.ErrOrder) {
			t.Errorf("pause without an author: got %v, want ErrOrder", err)
		}
		if got := len(r.queued(t)); got != 1 {
			t.Errorf("%d left, want 1", got)
		}
	})
}

// A pause stops one destination at once and across a restart, and no other.
func TestPause(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Connections = 1
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			time.Sleep(time.Second)
			return relaytest.OK(tr)
		}
		notes := &relaytest.Notes{}
		r.start(t)
		for range 20 {
			r.send(t, "ann@one.example", "a@site.test", "b@other.test")
		}
		o := r.operator(t, notes)
		after(3500 * time.Millisecond)
		if err := o.Pause(context.Background(), relay.Pause{Destination: "*/site.*", Author: "ann", Reason: "they asked"}); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			r.send(t, "bob@two.example", "c@site.test", "d@other.test")
		}
		// Three have been delivered, one is under way, and its connection has the next at hand.
		wantPaused := func(when string) {
			t.Helper()
			after(time.Hour)
			site := 0
			for _, rcpt := range r.delivered() {
				if strings.HasSuffix(rcpt, "@site.test") {
					site++
				}
			}
			if site != 5 || len(r.delivered()) != 35 {
				t.Errorf("%s: %d for the paused destination of %d in all, want 5 of 35", when, site, len(r.delivered()))
			}
			if got := r.states(t); got[relay.StatePaused] != 25 {
				t.Errorf("%s: states %v", when, got)
			}
		}
		wantPaused("paused")
		r.stop()
		r.build(t)
		o = r.operator(t, notes)
		r.run()
		wantPaused("after a restart")
		if got := o.Pauses(); len(got) != 1 || got[0].Author != "ann" || got[0].Since.IsZero() {
			t.Errorf("pauses: %+v", got)
		}
		for _, want := range []bool{true, false} {
			if was, err := o.Resume(context.Background(), "*/site.*", "ann", "done"); was != want || err != nil {
				t.Errorf("resume: got %v, %v, want %v", was, err, want)
			}
		}
		after(time.Minute)
		if got := len(r.delivered()); got != 60 {
			t.Errorf("%d delivered, want 60", got)
		}
		r.wantEmpty(t)
		journal, err := o.Journal(context.Background())
		if err != nil || !slices.EqualFunc(journal, []string{"pause", "resume"}, func(e relay.Entry, want string) bool { return e.Action == want }) {
			t.Errorf("journal: %+v, %v", journal, err)
		}
	})
}

// An order for a way that mail is on already changes nothing.
func TestRerouteAgain(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.policy.Routing = func(_ *relay.Message, rcpt relay.Recipient) (relay.Routing, *relay.Reply) {
			return relay.Routing{To: relay.Destination{Route: cmp.Or(rcpt.Route, "rules")}}, nil
		}
		r.fill(t)
		r.send(t, "ann@one.example", "a@site.test", "b@other.test")
		r.build(t)
		o := r.operator(t, &relaytest.Notes{})
		for _, route := range []string{"backup", ""} {
			do(t, o, relay.Order{Action: relay.ActionReroute, All: true, Route: route}, relay.Tally{Seen: 1, Matched: 1, Changed: 1})
			do(t, o, relay.Order{Action: relay.ActionReroute, All: true, Route: route}, relay.Tally{Seen: 1, Matched: 1, Unchanged: 1})
		}
		journal, err := o.Journal(context.Background())
		if err != nil || len(journal) != 2 {
			t.Errorf("journal: %+v, %v; what changes nothing is not in it", journal, err)
		}
		if d := r.queued(t); len(d) != 1 || d[0].To.Route != "rules" || d[0].Claimed {
			t.Errorf("left: %+v", d)
		}
	})
}

// An order is in the journal before it changes anything: after a crash in its middle it is known whose
// it was, and that it was broken off.
func TestJournalOfCrash(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.fill(t)
		for range 3 {
			r.send(t, "ann@one.example", "a@site.test")
		}
		r.build(t)
		notes := &relaytest.Notes{}
		o := r.operator(t, notes)
		disk := new(relaytest.Notes)
		_, err := o.Do(context.Background(), relay.Order{Action: relay.ActionHold, All: true, Author: "ann", Reason: "because"}, func(tally relay.Tally) {
			if tally.Changed != 1 {
				return
			}
			for n := range notes.Recall(context.Background(), "") {
				if err := disk.Remember(context.Background(), n); err != nil {
					t.Fatal(err)
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if journal, err := o.Journal(context.Background()); err != nil || len(journal) != 1 || journal[0].Tally.Changed != 3 || journal[0].UnderWay || journal[0].BrokenOff {
			t.Errorf("journal without a crash: %+v, %v", journal, err)
		}
		var told []relay.Entry
		options := relay.OperatorOptions{Scheduler: r.scheduler, Notes: disk, Told: func(e relay.Entry) { told = append(told, e) }}
		for restart := range 2 {
			o, err := relay.NewOperator(context.Background(), options)
			if err != nil {
				t.Fatal(err)
			}
			journal, err := o.Journal(context.Background())
			if err != nil || len(journal) != 1 || journal[0].Author != "ann" || journal[0].Action != "hold" || !journal[0].BrokenOff || journal[0].UnderWay {
				t.Errorf("journal after restart %d: %+v, %v", restart, journal, err)
			}
		}
		if len(told) != 1 || !told[0].BrokenOff {
			t.Errorf("told %+v, want it once", told)
		}
	})
}

// Without a place in the journal nothing is changed.
func TestNoJournalNoChange(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.fill(t)
		r.send(t, "ann@one.example", "a@site.test")
		r.build(t)
		o := r.operator(t, fullNotes{new(relaytest.Notes)})
		_, err := o.Do(context.Background(), relay.Order{Action: relay.ActionDelete, All: true, Author: "ann", Reason: "because"}, nil)
		if err == nil || !strings.Contains(err.Error(), "journal") {
			t.Errorf("got %v", err)
		}
		if d := r.queued(t); len(d) != 1 || d[0].Claimed {
			t.Errorf("left: %+v", d)
		}
	})
}

// fullNotes cannot be written to.
type fullNotes struct{ *relaytest.Notes }

func (fullNotes) Remember(context.Context, ...relay.Note) error { return errors.New("no space") }

// What an operator is told is done is on disk; when that cannot be, he is told so.
func TestOrderIsDurable(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.fill(t)
		r.send(t, "ann@one.example", "a@site.test")
		r.build(t)
		held := 0
		var slow error
		o, err := relay.NewOperator(context.Background(), relay.OperatorOptions{Scheduler: r.scheduler, Notes: new(relaytest.Notes), Durable: func(context.Context) error {
			held = r.states(t)[relay.StateHeld]
			return slow
		}})
		if err != nil {
			t.Fatal(err)
		}
		do(t, o, relay.Order{Action: relay.ActionHold, All: true}, relay.Tally{Seen: 1, Matched: 1, Changed: 1})
		if held != 1 {
			t.Errorf("%d were held when the disk was asked", held)
		}
		slow = errors.New("the disk does not answer")
		if err := o.Pause(context.Background(), relay.Pause{Destination: "x", Author: "ann", Reason: "because"}); !errors.Is(err, slow) {
			t.Errorf("pause: %v", err)
		}
		got, err := o.Do(context.Background(), relay.Order{Action: relay.ActionRelease, All: true, Author: "ann", Reason: "because"}, nil)
		if !errors.Is(err, slow) || got.Changed != 1 {
			t.Errorf("release: %+v, %v", got, err)
		}
	})
}
