package relaytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"postrider/relay"
)

// TestSpool is the contract of relay.Spool as tests. Open returns an empty spool that is
// closed with the test.
func TestSpool(t *testing.T, open func(t *testing.T) relay.Spool) {
	tests := []struct {
		name string
		run  func(*spoolTest)
	}{
		{"what is committed can be read", testCommit},
		{"a draft is invisible", testDraft},
		{"a draft ends once", testDraftEnds},
		{"long bodies", testLongBodies},
		{"bodies seek", testSeek},
		{"a failed commit leaves nothing", testCommitFails},
		{"what is not there is not found", testNotFound},
		{"claims come in order of due", testClaimOrder},
		{"claims keep to their bin and flow", testClaimBins},
		{"a claim holds until it is released", testRelease},
		{"earlier mail that comes later", testClaimEarlier},
		{"a message is claimed as a whole", testClaimMessage},
		{"born claimed", testBornClaimed},
		{"concurrent claims are disjoint", testClaimConcurrent},
		{"claims are counted", testClaims},
		{"the last one out removes the message", testLastOneOut},
		{"a deferred delivery keeps its part", testDefer},
		{"a delivery moves to another bin and back", testMove},
		{"recipients part ways", testSplit},
		{"part numbers are not reused", testPartNumbers},
		{"notices come with the settlement", testNotices},
		{"a failed settle changes nothing", testSettleFails},
		{"settling needs the claim", testSettleUnclaimed},
		{"parts are settled together or not at all", testSettleTogether},
		{"siblings settle at once", testSiblings},
		{"quarantine", testQuarantine},
		{"bins and their heads", testBinHeads},
		{"bins from a position", testBinsFrom},
		{"held deliveries are in no bin", testHeld},
		{"born held", testBornHeld},
		{"held and claimed are told apart", testHeldClaims},
		{"messages and deliveries in order of arrival", testArrival},
		{"places of deliveries", testPlaces},
		{"a thousand destinations", testThousand},
		{"any text in names", testNames},
		{"everything is delivered once", testChurn},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.run(newSpoolTest(t, open(t)))
		})
	}
}

func testCommit(t *spoolTest) {
	if err := t.Admit(1 << 20); err != nil {
		t.Errorf("admit: %v", err)
	}
	body := []byte("line one\r\nline two\r\n")
	m := t.message(body, 2)
	a, b := t.delivery(m, 0, alpha, t.t0), t.delivery(m, 1, smart, t.t0.Add(time.Hour))
	b.Attempts, b.Warned, b.Priority = 3, true, 9
	b.Released, b.Route, b.Suspended = true, "partners", time.Hour
	b.Last = relay.Reply{Code: 451, Enhanced: relay.EnhancedCode{4, 7, 1}, Text: "grey \xff listed", Class: relay.ClassGreylisting}
	t.store(m, body, a, b)
	t.wantMessage(m, body)
	t.wantLeft(m.ID, a, b)
	t.wantArrived(relay.ID{}, m.ID)
	t.sameDeliveries(t.list(relay.ID{}), []relay.Delivery{a, b}, false)

	own := &relay.Message{ID: t.ids.Next(), Envelope: relay.Envelope{Recipients: []relay.Recipient{{}}}, Header: []byte("\r\n"), Size: 2}
	d := t.delivery(own, 0, alpha, time.Time{})
	d.Sole = true
	t.store(own, nil, d)
	t.wantMessage(own, nil)
	t.claim(alpha, bulk, t.t0, 2, time.Time{}, d, a)
}

func testDraft(t *spoolTest) {
	body := bytes.Repeat([]byte("0123456789abcde\n"), 70_000)
	d := t.draft(body)
	t.wantEmpty()
	for range 2 {
		r, err := d.Body()
		if err != nil {
			t.Fatalf("read back: %v", err)
		}
		t.wantBody(r, body)
	}
	if _, err := d.Write([]byte("more")); err != nil {
		t.Fatalf("write after reading back: %v", err)
	}
	r, err := d.Body()
	if err != nil {
		t.Fatalf("read back: %v", err)
	}
	t.wantBody(r, append(bytes.Clone(body), "more"...))
	d.Discard()
	t.wantEmpty()
}

func testDraftEnds(t *spoolTest) {
	m := t.message([]byte("x"), 1)
	d := t.draft([]byte("x"))
	sole := t.delivery(m, 0, alpha, t.t0)
	sole.Sole = true
	if err := d.Commit(t.ctx, m, []relay.Delivery{sole}); err != nil {
		t.Fatalf("commit: %v", err)
	}
	d.Discard()
	t.wantMessage(m, []byte("x"))
	if _, err := d.Write([]byte("y")); err == nil {
		t.Error("write after commit: want an error")
	}
	if err := d.Commit(t.ctx, t.message(nil, 1), []relay.Delivery{sole}); err == nil {
		t.Error("second commit: want an error")
	}
	gone := t.draft([]byte("z"))
	gone.Discard()
	gone.Discard()
	if err := gone.Commit(t.ctx, t.message(nil, 1), []relay.Delivery{sole}); err == nil {
		t.Error("commit after discard: want an error")
	}
	t.wantArrived(relay.ID{}, m.ID)
}

func testLongBodies(t *spoolTest) {
	for _, size := range []int{0, 1, 64 << 10, 128<<10 - 1, 128 << 10, 128<<10 + 1, 256 << 10, 256<<10 + 1, 1<<20 + 17} {
		body := make([]byte, size)
		for i := range body {
			body[i] = byte(i % 251)
		}
		m := t.message(body, 1)
		draft := t.draft(nil)
		for rest := body; len(rest) > 0; {
			n := min(len(rest), 7919)
			if _, err := draft.Write(rest[:n]); err != nil {
				t.Fatalf("%d bytes: write: %v", size, err)
			}
			rest = rest[n:]
		}
		d := t.delivery(m, 0, alpha, t.t0)
		if err := draft.Commit(t.ctx, m, []relay.Delivery{d}); err != nil {
			t.Fatalf("%d bytes: commit: %v", size, err)
		}
		t.wantMessage(m, body)
		ds, err := t.ClaimMessage(t.ctx, m.ID)
		if err != nil || len(ds) != 1 {
			t.Fatalf("%d bytes: claim: got %v, %v", size, ds, err)
		}
		t.settle(ds[0])
	}
	t.wantEmpty()
}

func testSeek(t *spoolTest) {
	body := make([]byte, 300<<10)
	for i := range body {
		body[i] = byte(i % 253)
	}
	m := t.message(body, 1)
	t.store(m, body, t.delivery(m, 0, alpha, t.t0))
	r, err := t.Body(t.ctx, &relay.Message{ID: m.ID})
	if err != nil {
		t.Fatalf("body: %v", err)
	}
	seeks := []struct {
		offset int64
		whence int
		want   int64
	}{
		{0, io.SeekEnd, 300 << 10}, {0, io.SeekStart, 0}, {150 << 10, io.SeekCurrent, 150 << 10}, {-10, io.SeekEnd, 300<<10 - 10},
	}
	for _, s := range seeks {
		if at, err := r.Seek(s.offset, s.whence); err != nil || at != s.want {
			t.Fatalf("seek %d, %d: got %d, %v, want %d", s.offset, s.whence, at, err, s.want)
		}
		buf := make([]byte, 10)
		n, _ := io.ReadFull(r, buf)
		if want := body[s.want:min(s.want+10, 300<<10)]; !bytes.Equal(buf[:n], want) {
			t.Errorf("after seek %d, %d: got %v, want %v", s.offset, s.whence, buf[:n], want)
		}
		if _, err := r.Seek(-int64(n), io.SeekCurrent); err != nil {
			t.Fatalf("seek back: %v", err)
		}
	}
	if _, err := r.Seek(-1, io.SeekStart); err == nil {
		t.Error("seek before the start: want an error")
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		t.Fatalf("seek to the start: %v", err)
	}
	t.wantBody(r, body)
}

func testCommitFails(t *spoolTest) {
	ended, cancel := context.WithCancel(t.ctx)
	cancel()
	m := t.message([]byte("x"), 2)
	a, b := t.delivery(m, 0, alpha, t.t0), t.delivery(m, 1, alpha, t.t0)
	a.Claimed = true
	if err := t.draft([]byte("x")).Commit(ended, m, []relay.Delivery{a, b}); err == nil {
		t.Error("commit after the end of its context: want an error")
	}
	if err := t.draft([]byte("x")).Commit(t.ctx, m, nil); err == nil {
		t.Error("commit without a delivery: want an error")
	}
	if err := t.draft([]byte("x")).Commit(t.ctx, m, []relay.Delivery{a, a}); err == nil {
		t.Error("commit of two deliveries with one number: want an error")
	}
	t.wantEmpty()
	t.store(m, []byte("x"), a, b)
	b.Claimed = true
	t.claim(alpha, bulk, t.t0, 9, time.Time{}, b)
}

func testNotFound(t *spoolTest) {
	id := t.ids.Next()
	if _, err := t.Message(t.ctx, id); !errors.Is(err, relay.ErrNotFound) {
		t.Errorf("message: got %v, want ErrNotFound", err)
	}
	if _, err := t.Body(t.ctx, &relay.Message{ID: id}); !errors.Is(err, relay.ErrNotFound) {
		t.Errorf("body: got %v, want ErrNotFound", err)
	}
	if err := t.Quarantine(t.ctx, id, "no reason"); !errors.Is(err, relay.ErrNotFound) {
		t.Errorf("quarantine: got %v, want ErrNotFound", err)
	}
	if ds, err := t.ClaimMessage(t.ctx, id); err != nil || len(ds) != 0 {
		t.Errorf("claim message: got %v, %v, want none", ds, err)
	}
	t.wantLeft(id)
	t.claim(alpha, bulk, t.t0, 1, time.Time{})
	t.Release(relay.Delivery{DeliveryID: relay.DeliveryID{Message: id}})
	t.wantEmpty()
}

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

// testChurn lets committers and workers loose on a few bins. Workers deliver, defer, move
// and release at random; in the end each delivery has been delivered once.
func testChurn(t *spoolTest) {
	const messages, workers = 300, 6
	tos := []relay.Destination{alpha, beta, smart}
	c := &churn{spoolTest: t, tos: tos, done: make(map[relay.Address]int), left: messages * 2}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() { c.work(rand.New(rand.NewPCG(1, uint64(w)))) })
	}
	for i := range messages {
		m := t.message([]byte("churn"), 2)
		for k := range m.Envelope.Recipients {
			m.Envelope.Recipients[k].Address.Local = fmt.Sprintf("m%d.r%d", i, k)
		}
		a, b := t.delivery(m, 0, tos[i%3], t.t0), t.delivery(m, 1, tos[(i+1)%3], t.t0)
		if i%3 == 0 { // the two share a delivery, and part ways if they are moved
			a.Recipients, a.Sole = []int{0, 1}, true
			t.store(m, []byte("churn"), a)
		} else {
			t.store(m, []byte("churn"), a, b)
		}
	}
	wg.Wait()
	for r, n := range c.done {
		if n != 1 {
			t.Errorf("%s was delivered %d times", r, n)
		}
	}
	if len(c.done) != messages*2 {
		t.Errorf("got %d recipients delivered, want %d", len(c.done), messages*2)
	}
	t.wantEmpty()
}

type churn struct {
	*spoolTest
	tos []relay.Destination

	mu   sync.Mutex
	done map[relay.Address]int
	left int
}

func (c *churn) work(chance *rand.Rand) {
	for !c.over() {
		ds, _, err := c.Claim(c.ctx, c.tos[chance.IntN(len(c.tos))], bulk, c.t0.Add(time.Hour), 1+chance.IntN(4))
		if err != nil {
			c.Errorf("claim: %v", err)
			return
		}
		for _, d := range ds {
			if err := c.treat(d, chance); err != nil {
				c.Errorf("settle: %v", err)
				return
			}
		}
	}
}

func (c *churn) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.left == 0 || c.Failed()
}

// treat does to a delivery what chance wants.
func (c *churn) treat(d relay.Delivery, chance *rand.Rand) error {
	then := d
	switch chance.IntN(6) {
	case 0:
		c.Release(d)
		return nil
	case 1:
		then.Due = d.Due.Add(time.Duration(chance.IntN(3)) * time.Second)
	case 2:
		then.To = c.tos[chance.IntN(len(c.tos))]
	default:
		return c.deliver(d)
	}
	st := relay.Settlement{Delivery: d, Then: []relay.Delivery{then}}
	if len(d.Recipients) > 1 {
		other := then
		st.Then[0].Recipients, other.Recipients = d.Recipients[:1], d.Recipients[1:]
		st.Then = append(st.Then, other)
	}
	return c.Settle(c.ctx, st)
}

func (c *churn) deliver(d relay.Delivery) error {
	m, err := c.Message(c.ctx, d.Message)
	if err != nil {
		return err
	}
	if err := c.Settle(c.ctx, relay.Settlement{Delivery: d}); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, i := range d.Recipients {
		c.done[m.Envelope.Recipients[i].Address]++
		c.left--
	}
	return nil
}
