package relaytest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"postrider/relay"
)

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

// Drafts come one after the other and side by side, long and short. What one was given is not another's, and who reads
// one's body may go on to after its end.
func testDraftsApart(t *spoolTest) {
	bodyOf := func(i int) []byte { return bytes.Repeat([]byte{'a' + byte(i%26)}, []int{100, 9000, 300_000}[i%3]) }
	var readers []io.ReadSeekCloser
	var messages []*relay.Message
	for i := 0; i < 60; i += 2 {
		one, other := t.draft(bodyOf(i)), t.draft(bodyOf(i+1))
		if i%4 == 0 {
			r, err := one.Body()
			if err != nil {
				t.Fatalf("read back: %v", err)
			}
			readers = append(readers, r)
		}
		if i%10 == 0 {
			other.Discard()
		}
		m := t.message(bodyOf(i), 1)
		if err := one.Commit(t.Context(), m, []relay.Delivery{t.delivery(m, 0, alpha, t.t0)}); err != nil {
			t.Fatalf("commit: %v", err)
		}
		messages = append(messages, m)
		if i%10 != 0 {
			other.Discard()
		}
	}
	for n, r := range readers {
		t.wantBody(r, bodyOf(4*n))
	}
	for n, m := range messages {
		t.wantMessage(m, bodyOf(2*n))
	}
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
