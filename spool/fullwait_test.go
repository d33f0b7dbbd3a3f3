package spool_test

import (
	"context"
	"testing"
	"time"

	"postrider/relay"
)

// While Settle waits for a full disk, who asks about the message may give up.
func TestFullDeliveries(t *testing.T) {
	s, q, _ := openFull(t)
	mail := newMail()
	m, ds := mail.message(1, 3000)
	ds[0].Claimed = true
	if err := commit(t.Context(), s, m, ds); err != nil {
		t.Fatal(err)
	}
	q.full.Store(true)
	done := make(chan error, 1)
	go func() {
		mm, d := mail.message(1, 3<<20)
		done <- s.Settle(t.Context(), relay.Settlement{Delivery: ds[0], Notices: []relay.Notice{{Message: mm, Body: make([]byte, 3<<20), Deliveries: d}}})
	}()
	eventually(t, "full", func() bool { return s.Admit(0) != nil })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	asked := make(chan struct{})
	go func() { s.Deliveries(ctx, m.ID); close(asked) }()
	select {
	case <-asked:
	case <-time.After(2 * time.Second):
		t.Error("Deliveries hangs while the disk is full, whatever its context")
	}
	q.full.Store(false)
	if err := <-done; err != nil {
		t.Error(err)
	}
	<-asked
}

// Who stops waiting for the end of a delivery does not hold it any more, but nobody else can have it
// either until the disk has space and it has ended.
func TestFullSettleAbandoned(t *testing.T) {
	t.Parallel()
	s, q, _ := openFull(t)
	mail := newMail()
	m, ds := mail.message(1, 3000)
	if err := commit(t.Context(), s, m, ds); err != nil {
		t.Fatal(err)
	}
	claimed := wantClaimed(t, s, m)
	q.full.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		notice, d := mail.message(1, 3<<20) // so that the log has to write
		done <- s.Settle(ctx, relay.Settlement{Delivery: claimed[0], Notices: []relay.Notice{{Message: notice, Body: make([]byte, 3<<20), Deliveries: d}}})
	}()
	eventually(t, "the disk is seen to be full", func() bool { return s.Admit(0) != nil })
	cancel()
	wantStorageFull(t, "settle", <-done)
	s.Release(claimed...)
	wantClaimed(t, s)
	q.full.Store(false)
	eventually(t, "the delivery has ended", func() bool {
		_, err := s.Message(t.Context(), m.ID)
		return err != nil
	})
	if ds, _, err := s.Claim(t.Context(), here, "flow", time.Unix(3, 0), 9); err != nil || len(ds) != 1 || ds[0].Message == m.ID {
		t.Errorf("claim: got %v, %v, want the notice", ds, err)
	}
}
