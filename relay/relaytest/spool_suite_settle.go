package relaytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"postrider/relay"
)

func testLastOneOut(t *spoolTest) {
	body := []byte("body")
	m := t.message(body, 3)
	var ds []relay.Delivery
	for i := range 3 {
		ds = append(ds, t.delivery(m, i, alpha, t.t0))
	}
	t.store(m, body, ds...)
	claimed := t.claim(alpha, bulk, t.t0, 9, time.Time{}, ds...)
	for i, d := range []relay.Delivery{claimed[1], claimed[0]} {
		t.settle(d)
		t.wantMessage(m, body)
		if i == 0 {
			t.wantLeft(m.ID, ds[0], ds[2])
		}
	}
	t.settle(claimed[2])
	t.wantEmpty()
	if _, err := t.Message(t.ctx, m.ID); !errors.Is(err, relay.ErrNotFound) {
		t.Errorf("message after its end: got %v, want ErrNotFound", err)
	}
	if _, err := t.Body(t.ctx, &relay.Message{ID: m.ID}); !errors.Is(err, relay.ErrNotFound) {
		t.Errorf("body after its end: got %v, want ErrNotFound", err)
	}
}

func testDefer(t *spoolTest) {
	d := t.queue(alpha, bulk, t.t0)
	for i := range 5 {
		claimed := t.claim(alpha, bulk, d.Due, 1, time.Time{}, d)[0]
		d.Attempts, d.Warned = i+1, i > 2
		d.Last = relay.Reply{Code: 450, Text: fmt.Sprintf("try %d", i), Err: errors.New("ours alone")}
		if i != 2 { // once with the same due time
			d.Due = d.Due.Add(time.Minute)
		}
		t.settle(claimed, d)
		d.Last.Err = nil
		t.wantLeft(d.Message, d)
	}
	t.claim(alpha, bulk, d.Due.Add(-1), 1, d.Due)
	t.settle(t.claim(alpha, bulk, d.Due, 1, time.Time{}, d)[0])
	t.wantEmpty()
}

func testMove(t *spoolTest) {
	d := t.queue(alpha, bulk, t.t0)
	for _, to := range []relay.Destination{smart, alpha, beta, alpha} {
		claimed := t.claim(d.To, d.Flow, t.t0, 1, time.Time{}, d)[0]
		d.To = to
		t.settle(claimed, d)
		t.claim(claimed.To, claimed.Flow, t.t0, 1, time.Time{})
		t.wantBins(relay.BinHead{To: to, Flow: bulk, Due: t.t0})
	}
	t.settle(t.claim(alpha, bulk, t.t0, 1, time.Time{}, d)[0])
	t.wantEmpty()
}

func testSplit(t *spoolTest) {
	m := t.message(nil, 3)
	d := t.delivery(m, 0, alpha, t.t0)
	d.Recipients, d.Sole = []int{0, 1, 2}, true
	t.store(m, nil, d)
	claimed := t.claim(alpha, bulk, t.t0, 1, time.Time{}, d)[0]
	a, b, c := d, d, d
	a.Recipients, a.Due, a.Sole = []int{0}, t.t0.Add(time.Hour), false
	b.Recipients, b.To, b.Sole = []int{1}, beta, false
	c.Recipients, c.To, c.Sole = []int{2}, smart, false
	t.settle(claimed, a, b, c)
	b.Part, c.Part = 1, 2
	t.wantLeft(m.ID, a, b, c)
	t.settle(t.claim(beta, bulk, t.t0, 1, time.Time{}, b)[0])
	t.settle(t.claim(smart, bulk, t.t0, 1, time.Time{}, c)[0])
	t.wantMessage(m, nil)
	t.settle(t.claim(alpha, bulk, a.Due, 1, time.Time{}, a)[0])
	t.wantEmpty()
}

func testPartNumbers(t *spoolTest) {
	m := t.message(nil, 2)
	keep, d := t.delivery(m, 0, smart, t.t0), t.delivery(m, 1, alpha, t.t0)
	t.store(m, nil, keep, d)
	seen := map[uint32]bool{0: true, 1: true}
	for range 4 {
		claimed := t.claim(alpha, bulk, t.t0, 1, time.Time{}, d)[0]
		away := d
		away.To = beta
		t.settle(claimed, d, away)
		got, _, err := t.Claim(t.ctx, beta, bulk, t.t0, 9)
		if err != nil || len(got) != 1 {
			t.Fatalf("claim: got %v, %v, want one", got, err)
		}
		if seen[got[0].Part] {
			t.Errorf("part %d was given out before", got[0].Part)
		}
		seen[got[0].Part] = true
		t.settle(got[0])
	}
	t.wantLeft(m.ID, keep, d)
}

func testNotices(t *spoolTest) {
	d := t.queue(alpha, bulk, t.t0)
	claimed := t.claim(alpha, bulk, t.t0, 1, time.Time{}, d)[0]
	body := bytes.Repeat([]byte("it failed\r\n"), 30_000)
	one, two := t.message(body, 1), t.message([]byte("short"), 1)
	first, second := t.delivery(one, 0, beta, t.t0), t.delivery(two, 0, beta, t.t0)
	first.Sole, second.Sole, second.Claimed = true, true, true
	err := t.Settle(t.ctx, relay.Settlement{Delivery: claimed, Notices: []relay.Notice{
		{Message: one, Body: body, Deliveries: []relay.Delivery{first}},
		{Message: two, Body: []byte("short"), Deliveries: []relay.Delivery{second}},
	}})
	if err != nil {
		t.Fatalf("settle: %v", err)
	}
	t.wantArrived(relay.ID{}, one.ID, two.ID)
	t.wantMessage(one, body)
	t.wantMessage(two, []byte("short"))
	t.settle(t.claim(beta, bulk, t.t0, 9, time.Time{}, first)[0])
	t.settle(second)
	t.wantEmpty()
}

func testSettleFails(t *spoolTest) {
	d := t.queue(alpha, bulk, t.t0)
	claimed := t.claim(alpha, bulk, t.t0, 1, time.Time{}, d)[0]
	m := t.message(nil, 1)
	later := d
	later.Due = t.t0.Add(time.Hour)
	ended, cancel := context.WithCancel(t.ctx)
	cancel()
	tests := []struct {
		ctx context.Context
		st  relay.Settlement
	}{
		{ended, relay.Settlement{Delivery: claimed}},
		{t.ctx, relay.Settlement{Delivery: claimed, Then: []relay.Delivery{later}, Notices: []relay.Notice{{Message: m}}}},
	}
	for _, tt := range tests {
		if err := t.Settle(tt.ctx, tt.st); err == nil {
			t.Error("settle: want an error")
		}
		t.wantArrived(relay.ID{}, d.Message)
		t.wantLeft(d.Message, d)
		t.claim(alpha, bulk, t.t0, 1, time.Time{})
	}
	t.settle(claimed)
	t.wantEmpty()
}

func testSettleUnclaimed(t *spoolTest) {
	d := t.queue(alpha, bulk, t.t0)
	if err := t.Settle(t.ctx, relay.Settlement{Delivery: d}); !errors.Is(err, relay.ErrNotFound) {
		t.Errorf("settle unclaimed: got %v, want ErrNotFound", err)
	}
	claimed := t.claim(alpha, bulk, t.t0, 1, time.Time{}, d)[0]
	t.settle(claimed)
	if err := t.Settle(t.ctx, relay.Settlement{Delivery: claimed, Then: []relay.Delivery{d}}); !errors.Is(err, relay.ErrNotFound) {
		t.Errorf("settle twice: got %v, want ErrNotFound", err)
	}
	t.wantEmpty()
}

func testSiblings(t *spoolTest) {
	const parts = 16
	for range 20 {
		m := t.message([]byte("x"), parts)
		var ds []relay.Delivery
		for i := range parts {
			d := t.delivery(m, i, alpha, t.t0)
			d.Claimed = true
			ds = append(ds, d)
		}
		t.store(m, []byte("x"), ds...)
		var wg sync.WaitGroup
		for _, d := range ds[1:] {
			wg.Go(func() {
				if err := t.Settle(t.ctx, relay.Settlement{Delivery: d}); err != nil {
					t.Errorf("settle: %v", err)
				}
			})
		}
		wg.Wait()
		t.wantMessage(m, []byte("x"))
		t.settle(ds[0])
	}
	t.wantEmpty()
}

func testQuarantine(t *spoolTest) {
	m := t.message([]byte("bad"), 2)
	a, b := t.delivery(m, 0, alpha, t.t0), t.delivery(m, 1, beta, t.t0)
	t.store(m, []byte("bad"), a, b)
	other := t.queue(alpha, bulk, t.t0)
	claimed := t.claim(alpha, bulk, t.t0, 1, t.t0, a)[0]
	if err := t.Quarantine(t.ctx, m.ID, "cannot be read"); err != nil {
		t.Fatalf("quarantine: %v", err)
	}
	if _, err := t.Message(t.ctx, m.ID); !errors.Is(err, relay.ErrNotFound) {
		t.Errorf("message: got %v, want ErrNotFound", err)
	}
	if err := t.Settle(t.ctx, relay.Settlement{Delivery: claimed, Then: []relay.Delivery{a}}); !errors.Is(err, relay.ErrNotFound) {
		t.Errorf("settle: got %v, want ErrNotFound", err)
	}
	t.wantLeft(m.ID)
	t.wantArrived(relay.ID{}, other.Message)
	t.sameDeliveries(t.list(relay.ID{}), []relay.Delivery{other}, false)
	t.wantBins(relay.BinHead{To: alpha, Flow: bulk, Due: t.t0})
	t.claim(beta, bulk, t.t0, 9, time.Time{})
	t.claim(alpha, bulk, t.t0, 9, time.Time{}, other)
}
