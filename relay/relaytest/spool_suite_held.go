package relaytest

import (
	"context"
	"time"

	"postrider/relay"
)

// hold claims all of a message and settles it as held.
func (t *spoolTest) hold(d relay.Delivery, why string) relay.Delivery {
	t.Helper()
	held := d
	held.Held, held.HeldSince = why, t.t0
	for _, claimed := range t.claimMessage(d.Message, t.ClaimMessage, d) {
		t.settle(claimed, held)
	}
	return held
}

// claimMessage claims what one of the two methods gives of a message, and checks it.
func (t *spoolTest) claimMessage(id relay.ID, claim func(context.Context, relay.ID) ([]relay.Delivery, error), want ...relay.Delivery) []relay.Delivery {
	t.Helper()
	got, err := claim(t.ctx, id)
	if err != nil {
		t.Fatalf("claim message: %v", err)
	}
	t.sameDeliveries(got, want, true)
	return got
}

func testHeld(t *spoolTest) {
	first, d, last := t.queue(alpha, bulk, t.t0), t.queue(alpha, bulk, t.t0.Add(1)), t.queue(alpha, bulk, t.t0.Add(2))
	alone := t.hold(t.queue(beta, bulk, t.t0), "look at it")
	held := t.hold(d, "why not")
	t.wantBins(relay.BinHead{To: alpha, Flow: bulk, Due: t.t0})
	t.Release(t.claim(alpha, bulk, t.t0.Add(9), 9, time.Time{}, first, last)...)
	t.claim(beta, bulk, t.t0.Add(9), 9, time.Time{})
	t.wantLeft(held.Message, held)
	t.sameDeliveries(t.list(relay.ID{}), []relay.Delivery{first, held, last, alone}, false)
	t.wantArrived(relay.ID{}, first.Message, held.Message, last.Message, alone.Message)

	released := d
	released.Suspended = time.Hour
	t.settle(t.claimMessage(held.Message, t.ClaimHeld, held)[0], released)
	t.claimMessage(held.Message, t.ClaimHeld)
	for _, d := range t.claim(alpha, bulk, t.t0.Add(9), 9, time.Time{}, first, released, last) {
		t.settle(d)
	}
	t.settle(t.claimMessage(alone.Message, t.ClaimHeld, alone)[0])
	t.wantEmpty()
}

func testBornHeld(t *spoolTest) {
	m := t.message([]byte("odd"), 2)
	a, b := t.delivery(m, 0, alpha, t.t0), t.delivery(m, 1, alpha, t.t0)
	b.Held, b.HeldSince = "a rule wants it looked at", t.t0
	t.store(m, []byte("odd"), a, b)
	t.settle(t.claim(alpha, bulk, t.t0, 9, time.Time{}, a)[0])
	t.wantMessage(m, []byte("odd"))
	t.wantBins()
	t.settle(t.claimMessage(m.ID, t.ClaimHeld, b)[0])
	t.wantEmpty()
}

func testHeldClaims(t *spoolTest) {
	m := t.message(nil, 3)
	a, b, c := t.delivery(m, 0, alpha, t.t0), t.delivery(m, 1, alpha, t.t0), t.delivery(m, 2, alpha, t.t0)
	b.Held, c.Held = "b", "c"
	t.store(m, nil, a, b, c)
	held := t.claimMessage(m.ID, t.ClaimHeld, b, c)
	t.claimMessage(m.ID, t.ClaimHeld)
	t.claimMessage(m.ID, t.ClaimMessage, a)
	t.Release(held[1])
	t.claimMessage(m.ID, t.ClaimHeld, c)
	t.wantLeft(m.ID, a, b, c)
	t.settle(held[0], b) // held as before
	t.claimMessage(m.ID, t.ClaimHeld, b)
	if err := t.Quarantine(t.ctx, m.ID, "odd"); err != nil {
		t.Fatalf("quarantine: %v", err)
	}
	t.wantEmpty()
}

func testBinsFrom(t *spoolTest) {
	var want []relay.BinHead
	for _, route := range []string{"", "a", "a\x00", "b"} {
		for _, domain := range []string{"", "d", "\xff"} {
			for _, flow := range []relay.Flow{"", desk, bulk, "\x00"} {
				t.queue(relay.Destination{Route: route, Domain: domain}, flow, t.t0)
			}
		}
	}
	for b, err := range t.Bins(t.ctx, relay.BinHead{}) {
		if err != nil {
			t.Fatalf("bins: %v", err)
		}
		if n := len(want); n > 0 && byBin(want[n-1], b) >= 0 {
			t.Errorf("%+v comes after %+v", b, want[n-1])
		}
		want = append(want, b)
	}
	if len(want) != 4*3*4 {
		t.Errorf("got %d bins, want %d", len(want), 4*3*4)
	}
	for i, from := range want {
		t.wantBinsFrom(from, want[i:]...)
		from.Flow += "\x00" // is what comes next, whatever that is
		t.wantBinsFrom(from, want[i+1:]...)
	}
}

// wantBinsFrom checks the bins from a position, in order.
func (t *spoolTest) wantBinsFrom(from relay.BinHead, want ...relay.BinHead) {
	t.Helper()
	n := 0
	for b, err := range t.Bins(t.ctx, from) {
		if err != nil {
			t.Fatalf("bins: %v", err)
		}
		if n < len(want) && byBin(b, want[n]) != 0 {
			t.Errorf("bins from %+v: got %+v at %d, want %+v", from, b, n, want[n])
		}
		n++
	}
	if n != len(want) {
		t.Errorf("bins from %+v: got %d, want %d", from, n, len(want))
	}
}
