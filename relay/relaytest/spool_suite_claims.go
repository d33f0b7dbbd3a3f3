package relaytest

import (
	"time"

	"postrider/relay"
)

// testClaims wants the count of claims to follow every way into one and out of it.
func testClaims(t *spoolTest) {
	want := func(after string, n int) {
		t.Helper()
		if got := t.Claims(); got != n {
			t.Errorf("%d claims after %s, want %d", got, after, n)
		}
	}
	a := t.queue(alpha, bulk, t.t0)
	b := t.queue(alpha, bulk, t.t0.Add(1))
	want("two messages have come", 0)
	got := t.claim(alpha, bulk, t.t0.Add(9), 1, t.t0.Add(1), a)
	want("a claim", 1)
	ds, err := t.ClaimMessage(t.ctx, b.Message)
	if err != nil || len(ds) != 1 {
		t.Fatalf("claim message: %v, %v", ds, err)
	}
	want("the claim of a message", 2)
	t.Release(ds...)
	t.Release(ds...)
	want("a release", 1)
	then := got[0]
	then.Claimed, then.Due = false, t.t0.Add(time.Hour)
	t.settle(got[0], then)
	want("a deferral", 0)
	m := t.message(nil, 1)
	d := t.delivery(m, 0, alpha, t.t0)
	d.Claimed = true
	t.store(m, nil, d)
	want("a message that was born claimed", 1)
	notice := t.message(nil, 1)
	st := relay.Settlement{Delivery: d, Notices: []relay.Notice{{Message: notice, Deliveries: []relay.Delivery{t.delivery(notice, 0, alpha, t.t0)}}}}
	if err := t.Settle(t.ctx, st); err != nil {
		t.Fatal(err)
	}
	want("a bounce", 0)
	if _, err := t.ClaimMessage(t.ctx, notice.ID); err != nil {
		t.Fatal(err)
	}
	if err := t.Quarantine(t.ctx, notice.ID, "odd"); err != nil {
		t.Fatal(err)
	}
	want("what was claimed is set aside", 0)
}
