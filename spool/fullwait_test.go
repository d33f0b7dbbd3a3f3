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
