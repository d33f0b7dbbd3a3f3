package relay_test

import (
	"context"
	"sync/atomic"
	"testing"

	"postrider/relay"
	"postrider/relay/relaytest"
)

// refusingNotes take nothing while the disk is full.
type refusingNotes struct {
	relaytest.Notes
	full atomic.Bool
}

func (n *refusingNotes) Remember(ctx context.Context, notes ...relay.Note) error {
	if n.full.Load() {
		return relay.StorageFull(nil)
	}
	return n.Notes.Remember(ctx, notes...)
}

// An order that the journal cannot take changes nothing, and leaves no trace. One that it could take
// comes to its end, also where the journal cannot be told of that: it is not under way for ever
// there, and does not keep the next process from starting.
func TestOrdersWhileNotesAreRefused(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.fill(t)
		for range 3 {
			r.send(t, "ann@one.example", "a@site.test")
		}
		r.build(t)
		notes := &refusingNotes{}
		told := 0
		options := relay.OperatorOptions{Scheduler: r.scheduler, Notes: notes, Told: func(relay.Entry) { told++ }}
		o, err := relay.NewOperator(context.Background(), options)
		if err != nil {
			t.Fatal(err)
		}
		hold := relay.Order{Action: relay.ActionHold, All: true, Author: "ann", Reason: "because"}
		notes.full.Store(true)
		if tally, err := o.Do(context.Background(), hold, nil); err == nil || tally.Changed != 0 {
			t.Errorf("an order that cannot be kept: got %+v, %v, want an error and no change", tally, err)
		}
		if held := r.states(t)[relay.StateHeld]; held != 0 || told != 0 {
			t.Errorf("%d held, told %d times, want neither", held, told)
		}
		wantJournal(t, o, 0)

		notes.full.Store(false)
		tally, err := o.Do(context.Background(), hold, func(relay.Tally) { notes.full.Store(true) })
		if err == nil || tally.Changed != 3 || r.states(t)[relay.StateHeld] != 3 {
			t.Errorf("an order whose end cannot be kept: got %+v, %v, want 3 changed and an error", tally, err)
		}
		wantJournal(t, o, 1)
		for _, full := range []bool{true, false} {
			notes.full.Store(full)
			o, err := relay.NewOperator(context.Background(), options)
			if err != nil {
				t.Fatalf("start, full %v: %v", full, err)
			}
			wantJournal(t, o, 1)
		}
	})
}

// wantJournal wants so many orders in the journal, each of them broken off.
func wantJournal(t *testing.T, o *relay.Operator, want int) {
	t.Helper()
	journal, err := o.Journal(context.Background())
	if err != nil || len(journal) != want {
		t.Errorf("journal: got %+v, %v, want %d entries", journal, err, want)
	}
	for _, e := range journal {
		if e.UnderWay || !e.BrokenOff {
			t.Errorf("journal: %+v, want it broken off", e)
		}
	}
}
