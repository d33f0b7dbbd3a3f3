package relaytest

import (
	"errors"
	"time"

	"postrider/relay"
)

func testSettleTogether(t *spoolTest) {
	m := t.message([]byte("x"), 5)
	var ds []relay.Delivery
	for i := range 3 {
		ds = append(ds, t.delivery(m, i, alpha, t.t0))
	}
	ds[2].Recipients = []int{2, 3, 4}
	t.store(m, []byte("x"), ds...)
	claimed := t.claim(alpha, bulk, t.t0, 9, time.Time{}, ds...)
	other := t.queue(beta, bulk, t.t0)
	stranger := t.claim(beta, bulk, t.t0, 9, time.Time{}, other)[0]
	for _, odd := range []relay.Delivery{stranger, {DeliveryID: relay.DeliveryID{Message: m.ID, Part: 9}}} {
		if err := t.Settle(t.ctx, relay.Settlement{Delivery: claimed[0]}, relay.Settlement{Delivery: odd}); err == nil {
			t.Errorf("settle with %s: want an error", odd.DeliveryID)
		}
	}
	t.wantLeft(m.ID, ds...)
	t.wantLeft(other.Message, other)

	// Two part ways at once, and their new parts are told apart.
	moved := ds[2]
	moved.To, moved.Recipients = beta, []int{3}
	again := moved
	again.Recipients = []int{4}
	first := ds[2]
	first.Recipients = []int{2}
	late := ds[1]
	late.Due = t.t0.Add(time.Hour)
	extra := late
	extra.To = smart
	err := t.Settle(t.ctx,
		relay.Settlement{Delivery: claimed[2], Then: []relay.Delivery{first, moved, again}},
		relay.Settlement{Delivery: claimed[1], Then: []relay.Delivery{late, extra}},
		relay.Settlement{Delivery: claimed[0]})
	if err != nil {
		t.Fatalf("settle: %v", err)
	}
	moved.Part, again.Part, extra.Part = 3, 4, 5
	t.wantLeft(m.ID, late, first, moved, again, extra)
	rest := t.claimMessage(m.ID, t.ClaimMessage, late, first, moved, again, extra)
	var all []relay.Settlement
	for _, d := range rest {
		all = append(all, relay.Settlement{Delivery: d})
	}
	if err := t.Settle(t.ctx, all...); err != nil {
		t.Fatalf("settle the rest: %v", err)
	}
	if _, err := t.Message(t.ctx, m.ID); !errors.Is(err, relay.ErrNotFound) {
		t.Errorf("message after its end: got %v, want ErrNotFound", err)
	}
	t.settle(stranger)
	t.wantEmpty()
}
