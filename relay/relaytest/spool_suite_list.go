package relaytest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"postrider/relay"
)

func testBinHeads(t *spoolTest) {
	t.wantBins()
	early := t.queue(alpha, bulk, t.t0)
	late := t.queue(alpha, bulk, t.t0.Add(time.Hour))
	t.queue(alpha, desk, t.t0.Add(time.Minute))
	t.queue(smart, bulk, t.t0.Add(-time.Hour))
	desks, smarts := relay.BinHead{To: alpha, Flow: desk, Due: t.t0.Add(time.Minute)}, relay.BinHead{To: smart, Flow: bulk, Due: t.t0.Add(-time.Hour)}
	t.wantBins(relay.BinHead{To: alpha, Flow: bulk, Due: early.Due}, desks, smarts)
	t.settle(t.claim(alpha, bulk, t.t0, 1, late.Due, early)[0])
	t.wantBins(relay.BinHead{To: alpha, Flow: bulk, Due: late.Due}, desks, smarts)
	t.settle(t.claim(alpha, bulk, late.Due, 1, time.Time{}, late)[0])
	t.wantBins(desks, smarts)
	for _, err := range t.Bins(t.ctx, relay.BinHead{}) {
		if err != nil {
			t.Fatalf("bins: %v", err)
		}
		break
	}
}

func testArrival(t *spoolTest) {
	const n = 1100
	var ids []relay.ID
	for range n {
		ids = append(ids, t.ids.Next())
	}
	for _, i := range rand.Perm(n) {
		m := t.message(nil, 1)
		m.ID = ids[i]
		t.store(m, nil, t.delivery(m, 0, alpha, t.t0))
	}
	t.wantArrived(relay.ID{}, ids...)
	t.wantArrived(ids[n/2], ids[n/2:]...)
	for i, d := range t.list(ids[3]) {
		if d.Message != ids[3+i] {
			t.Fatalf("list: got %s at %d, want %s", d.Message, i, ids[3+i])
		}
	}
	for range t.Arrived(t.ctx, relay.ID{}) {
		break
	}
	for range t.List(t.ctx, relay.ID{}) {
		break
	}
	for _, id := range ids[:n/2] {
		ds, err := t.ClaimMessage(t.ctx, id)
		if err != nil || len(ds) != 1 {
			t.Fatalf("claim message: got %v, %v", ds, err)
		}
		t.settle(ds[0])
	}
	t.wantArrived(relay.ID{}, ids[n/2:]...)
	early := t.message(nil, 1)
	early.ID = ids[0]
	early.ID[0]--
	t.store(early, nil, t.delivery(early, 0, alpha, t.t0))
	t.wantArrived(relay.ID{}, append([]relay.ID{early.ID}, ids[n/2:]...)...)
}

func testThousand(t *spoolTest) {
	const n = 1000
	body := []byte("to all\r\n")
	m := t.message(body, n)
	var ds []relay.Delivery
	for i := range n {
		d := t.delivery(m, i, relay.Destination{Route: "internet", Domain: fmt.Sprintf("d%d.example", i)}, t.t0)
		ds = append(ds, d)
	}
	t.store(m, body, ds...)
	t.wantMessage(m, body)
	t.wantLeft(m.ID, ds...)
	claimed, err := t.ClaimMessage(t.ctx, m.ID)
	if err != nil || len(claimed) != n {
		t.Fatalf("claim message: got %d, %v, want %d", len(claimed), err, n)
	}
	for _, d := range claimed {
		t.settle(d)
	}
	t.wantEmpty()
}

func testNames(t *spoolTest) {
	names := []string{"", "\x00", "a", "a\x00", "a\x00\x01", "a\x01", "\xff", "\xff\xff", "ab"}
	want := make(map[relay.BinHead]relay.Delivery)
	for _, route := range names {
		for _, domain := range names {
			for _, flow := range names {
				d := t.queue(relay.Destination{Route: route, Domain: domain}, relay.Flow(flow), t.t0)
				want[relay.BinHead{To: d.To, Flow: d.Flow}] = d
			}
		}
	}
	n := 0
	for b, err := range t.Bins(t.ctx, relay.BinHead{}) {
		if err != nil {
			t.Fatalf("bins: %v", err)
		}
		n++
		t.claim(b.To, b.Flow, t.t0, 9, time.Time{}, want[relay.BinHead{To: b.To, Flow: b.Flow}])
	}
	if n != len(want) {
		t.Errorf("got %d bins, want %d", n, len(want))
	}
}
