package relaytest

import (
	"slices"
	"sync"
	"time"

	"postrider/relay"
)

func testClaimOrder(t *spoolTest) {
	at := func(s int) time.Time { return t.t0.Add(time.Duration(s) * time.Second) }
	var ds []relay.Delivery
	for _, s := range []int{3, 1, 5, 2, 4} {
		ds = append(ds, t.queue(alpha, bulk, at(s)))
	}
	slices.SortFunc(ds, byDue)
	t.claim(alpha, bulk, at(0), 9, at(1))
	t.claim(alpha, bulk, at(9), 0, at(1))
	t.claim(alpha, bulk, at(3), 2, at(3), ds[:2]...)
	t.claim(alpha, bulk, at(3), 2, at(4), ds[2])
	t.claim(alpha, bulk, at(3), 2, at(4))
	t.claim(alpha, bulk, at(5), 2, time.Time{}, ds[3:]...)
	t.claim(alpha, bulk, at(5), 2, time.Time{})
	t.wantBins(relay.BinHead{To: alpha, Flow: bulk, Due: at(1)})
}

func testClaimBins(t *spoolTest) {
	a := t.queue(alpha, bulk, t.t0)
	b := t.queue(alpha, desk, t.t0.Add(-time.Hour))
	c := t.queue(beta, bulk, t.t0.Add(time.Hour))
	d := t.queue(smart, bulk, t.t0)
	t.claim(alpha, bulk, t.t0, 9, time.Time{}, a)
	t.claim(alpha, desk, t.t0, 9, time.Time{}, b)
	t.claim(beta, bulk, t.t0, 9, c.Due)
	t.claim(smart, bulk, t.t0, 9, time.Time{}, d)
	t.claim(relay.Destination{Route: "internet"}, bulk, t.t0, 9, time.Time{})
	t.claim(alpha, "", t.t0, 9, time.Time{})
}

func testRelease(t *spoolTest) {
	a, b, c := t.queue(alpha, bulk, t.t0), t.queue(alpha, bulk, t.t0.Add(1)), t.queue(alpha, bulk, t.t0.Add(2))
	got := t.claim(alpha, bulk, t.t0.Add(9), 9, time.Time{}, a, b, c)
	t.Release(got[1])
	t.claim(alpha, bulk, t.t0, 9, b.Due)
	got = append(t.claim(alpha, bulk, t.t0.Add(9), 9, time.Time{}, b), got[0])
	t.Release(got...)
	t.Release(got...)
	t.claim(alpha, bulk, t.t0.Add(9), 9, time.Time{}, a, b)
}

func testClaimEarlier(t *spoolTest) {
	for i := range 20 {
		late := t.queue(alpha, bulk, t.t0.Add(time.Minute))
		for _, d := range t.claim(alpha, bulk, t.t0.Add(time.Hour), 9, time.Time{}, late) {
			t.settle(d)
		}
		early := t.queue(alpha, bulk, t.t0.Add(-time.Duration(i)))
		for _, d := range t.claim(alpha, bulk, t.t0, 9, time.Time{}, early) {
			t.settle(d)
		}
	}
	t.wantEmpty()
}

func testClaimMessage(t *spoolTest) {
	m := t.message(nil, 3)
	a, b, c := t.delivery(m, 0, alpha, t.t0), t.delivery(m, 1, beta, t.t0.Add(time.Hour)), t.delivery(m, 2, smart, t.t0)
	t.store(m, nil, a, b, c)
	t.queue(beta, bulk, t.t0)
	t.claim(smart, bulk, t.t0, 1, time.Time{}, c)
	got, err := t.ClaimMessage(t.ctx, m.ID)
	if err != nil {
		t.Fatalf("claim message: %v", err)
	}
	t.sameDeliveries(got, []relay.Delivery{a, b}, true)
	t.claim(alpha, bulk, t.t0, 9, time.Time{})
	if again, err := t.ClaimMessage(t.ctx, m.ID); err != nil || len(again) != 0 {
		t.Errorf("claim message again: got %v, %v, want none", again, err)
	}
	t.wantLeft(m.ID, a, b, c)
	t.Release(got...)
	t.claim(alpha, bulk, t.t0, 9, time.Time{}, a)
}

func testBornClaimed(t *spoolTest) {
	m := t.message(nil, 2)
	a, b := t.delivery(m, 0, alpha, t.t0), t.delivery(m, 1, alpha, t.t0)
	a.Claimed = true
	t.store(m, nil, a, b)
	t.claim(alpha, bulk, t.t0, 9, time.Time{}, b)
	t.settle(a)
	t.wantLeft(m.ID, b)
}

func testClaimConcurrent(t *spoolTest) {
	const messages, workers = 200, 8
	for range messages {
		t.queue(alpha, bulk, t.t0)
	}
	var mu sync.Mutex
	seen := make(map[relay.DeliveryID]int)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				ds, _, err := t.Claim(t.ctx, alpha, bulk, t.t0, 3)
				if err != nil {
					t.Errorf("claim: %v", err)
				}
				if len(ds) == 0 {
					return
				}
				mu.Lock()
				for _, d := range ds {
					seen[d.DeliveryID]++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != messages {
		t.Errorf("got %d deliveries, want %d", len(seen), messages)
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s was claimed %d times", id, n)
		}
	}
}

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
