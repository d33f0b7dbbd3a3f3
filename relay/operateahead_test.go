package relay_test

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
)

// The clock was months ahead, was put right, and the relay started again: an order means the mail of then
// too, and once. Mail that arrives while it is carried out is left alone.
func TestOrderAfterClockWasAhead(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Now = func() time.Time { return time.Now().Add(100 * day) }
		r.ids = relay.NewIDs(r.options.Now, rand.Reader)
		r.fill(t)
		r.send(t, "a@example.com", "b@one.test")
		r.send(t, "a@example.com", "b@one.test", "b@two.test")
		r.options.Now = nil
		r.ids = relay.NewIDs(time.Now, rand.Reader)
		r.fill(t)
		r.send(t, "a@example.com", "b@one.test")
		r.build(t)
		o := r.operator(t, &relaytest.Notes{})
		hold := relay.Order{Action: relay.ActionHold, All: true, Author: "ann", Reason: "because"}
		tally, err := o.Do(context.Background(), hold, func(relay.Tally) {
			time.Sleep(time.Millisecond)
			r.send(t, "late@example.com", "b@one.test")
		})
		if want := (relay.Tally{Seen: 4, Matched: 4, Changed: 4}); err != nil || tally != want {
			t.Errorf("got %+v, %v, want %+v", tally, err, want)
		}
		if held := r.states(t)[relay.StateHeld]; held != 4 {
			t.Errorf("%d held, want 4", held)
		}
		// One that was broken off in the mail of then goes on there.
		hold.From = relay.IDAt(time.Now().Add(99 * day))
		hold.Action = relay.ActionRelease
		if tally, err = o.Do(context.Background(), hold, nil); err != nil || tally.Changed != 3 {
			t.Errorf("from there on: got %+v, %v, want 3 changed", tally, err)
		}
	})
}
