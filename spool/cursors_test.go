package spool_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"postrider/relay"
	"postrider/spool"
)

// inAnHour is a clock by which what has just come has waited for long.
func inAnHour() time.Time { return time.Now().Add(time.Hour) }

// Messages that have waited are read as they leave, by several at once and in whatever order, whole; those
// that have left are gone at once, though an iterator may still see them, and those that have just come are
// there. The spool closes with cursors at rest.
func TestReadingAlong(t *testing.T) {
	t.Parallel()
	s, err := spool.Open(spool.Options{Dir: "spool", FS: vfs.NewMem(), Reserve: -1, Memtable: 256 << 10, Now: inAnHour})
	if err != nil {
		t.Fatal(err)
	}
	const n = 300
	m := newMail()
	for i := range n {
		size := 4 << 10
		if i%50 == 0 {
			size = 300 << 10 // three pieces
		}
		msg, ds := m.message(1, size)
		if err := commit(t.Context(), s, msg, ds); err != nil {
			t.Fatal(err)
		}
	}
	rested := false
	for left := n; left > 0; {
		ds, _, err := s.Claim(t.Context(), here, "flow", time.Now(), 20)
		if err != nil || len(ds) == 0 {
			t.Fatalf("claim: got %d deliveries, %v, with %d to come", len(ds), err, left)
		}
		left -= len(ds)
		var readers sync.WaitGroup
		for r := range 4 {
			readers.Go(func() {
				for i := r; i < len(ds); i += 4 {
					if err := readAlong(t.Context(), s, ds[(i*7)%len(ds)]); err != nil { // 7 and 20 have no common factor
						t.Error(err)
					}
				}
			})
		}
		fresh, more := m.message(1, 4<<10)
		more[0].To.Domain = "fresh.example"
		if err := errors.Join(commit(t.Context(), s, fresh, more), whole(t.Context(), s, fresh.ID)); err != nil {
			t.Error(err)
		}
		readers.Wait()
		rested = rested || s.Cursors() > 0
	}
	if !rested {
		t.Error("nothing was read by cursors")
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// readAlong reads a message as an attempt does, and settles it.
func readAlong(ctx context.Context, s *spool.Spool, d relay.Delivery) error {
	if err := whole(ctx, s, d.Message); err != nil {
		return err
	}
	m, err := s.Message(ctx, d.Message)
	if err != nil {
		return err
	}
	if err := s.Settle(ctx, relay.Settlement{Delivery: d, Message: m}); err != nil {
		return err
	}
	if _, err := s.Message(ctx, d.Message); !errors.Is(err, relay.ErrNotFound) {
		return fmt.Errorf("message %s after it was delivered: got %w, want none", d.Message, err)
	}
	return nil
}

// What cursors keep of the past is given back soon, though the disk is full and a settlement waits for space:
// it may be what there is no space for.
func TestCursorsLetGo(t *testing.T) {
	t.Parallel()
	q := &quota{}
	s, err := spool.Open(spool.Options{Dir: "spool", FS: errorfs.Wrap(vfs.NewMem(), q), Now: inAnHour}.RetryEvery(time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	m := newMail()
	msg, ds := m.message(1, 4<<10)
	other, more := m.message(1, 4<<10)
	ds[0].Claimed, more[0].Claimed = true, true
	if err := errors.Join(commit(t.Context(), s, msg, ds), commit(t.Context(), s, other, more)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "cursors rest", func() bool {
		if err := whole(t.Context(), s, msg.ID); err != nil {
			t.Fatal(err)
		}
		return s.Cursors() > 0
	})
	q.full.Store(true)
	var settling sync.WaitGroup
	settling.Go(func() {
		if err := s.Settle(t.Context(), relay.Settlement{Delivery: more[0], Message: other}); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "all cursors are closed while the disk is full", func() bool { return s.Cursors() == 0 })
	q.full.Store(false)
	settling.Wait()
}
