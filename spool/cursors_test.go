package spool_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"postrider/relay"
	"postrider/spool"
)

// Messages that have waited are read as they leave, in whatever order, whole; those that have left are
// gone at once, though an iterator may still see them, and those that have just come are there.
func TestReadingAlong(t *testing.T) {
	t.Parallel()
	s, err := spool.Open(spool.Options{
		Dir: "spool", FS: vfs.NewMem(), Reserve: -1, Memtable: 256 << 10, Now: func() time.Time { return time.Now().Add(time.Hour) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
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
	for left := n; left > 0; {
		ds, _, err := s.Claim(t.Context(), here, "flow", time.Now(), 20)
		if err != nil || len(ds) == 0 {
			t.Fatalf("claim: got %d deliveries, %v, with %d to come", len(ds), err, left)
		}
		left -= len(ds)
		for i := range ds {
			d := ds[(i*7)%len(ds)] // 7 and 20 have no common factor
			readAlong(t, s, d)
		}
		fresh, more := m.message(1, 4<<10)
		more[0].To.Domain = "fresh.example"
		if err := commit(t.Context(), s, fresh, more); err != nil {
			t.Fatal(err)
		}
		if err := whole(t.Context(), s, fresh.ID); err != nil {
			t.Error(err)
		}
	}
}

// readAlong reads a message as an attempt does, and settles it.
func readAlong(t *testing.T, s *spool.Spool, d relay.Delivery) {
	t.Helper()
	if err := whole(t.Context(), s, d.Message); err != nil {
		t.Fatal(err)
	}
	m, err := s.Message(t.Context(), d.Message)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Settle(t.Context(), relay.Settlement{Delivery: d, Message: m}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Message(t.Context(), d.Message); !errors.Is(err, relay.ErrNotFound) {
		t.Errorf("message %s after it was delivered: got %v, want none", d.Message, err)
	}
}

// A table or blob file that iterators of the past keep is given back within a second or two.
func TestCursorsLetGo(t *testing.T) {
	t.Parallel()
	s, err := spool.Open(spool.Options{
		Dir: "spool", FS: vfs.NewMem(), Reserve: -1, Now: func() time.Time { return time.Now().Add(time.Hour) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	msg, ds := newMail().message(1, 4<<10)
	ds[0].Claimed = true
	if err := commit(t.Context(), s, msg, ds); err != nil {
		t.Fatal(err)
	}
	m, err := s.Message(t.Context(), msg.ID)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Body(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Fatal(err)
	}
	if s.Cursors() != 2 {
		t.Fatalf("%d cursors rest after a record and a body were read, want 2", s.Cursors())
	}
	for deadline := time.Now().Add(30 * time.Second); s.Cursors() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d cursors are still kept", s.Cursors())
		}
	}
}
