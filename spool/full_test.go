package spool_test

import (
	"errors"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"postrider/relay"
	"postrider/spool"
)

// quota is a disk that can be made full.
type quota struct{ full atomic.Bool }

// MaybeError refuses what needs space.
func (q *quota) MaybeError(op errorfs.Op) error {
	switch op.Kind {
	case errorfs.OpCreate, errorfs.OpReuseForWrite, errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpFilePreallocate, errorfs.OpMkdirAll:
		if q.full.Load() {
			return syscall.ENOSPC
		}
	}
	return nil
}

func (q *quota) String() string { return "quota" }

// wantStorageFull checks for the reply to new mail while there is no space.
func wantStorageFull(t *testing.T, doing string, err error) {
	t.Helper()
	var r *relay.Reply
	if !errors.As(err, &r) || r.Code != 452 || r.Enhanced != (relay.EnhancedCode{4, 3, 1}) {
		t.Errorf("%s: got %v, want 452 4.3.1", doing, err)
	}
}

// eventually waits until a condition holds; the test's own limit ends the wait.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for !holds() {
		if t.Context().Err() != nil {
			t.Fatalf("never: %s", what)
		}
		runtime.Gosched()
	}
}

func openFull(t *testing.T) (*spool.Spool, *quota, vfs.FS) {
	q := &quota{}
	mem := vfs.NewMem()
	o := spool.Options{Dir: "spool", FS: errorfs.Wrap(mem, q), Memtable: 1 << 20}
	s, err := spool.Open(o.RetryEvery(time.Microsecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s, q, mem
}

// TestConformance/X04: the disk is full at a body, a commit, a settle and a flush.
func TestConformance(t *testing.T) {
	t.Parallel()
	t.Run("X04", func(t *testing.T) {
		t.Parallel()
		t.Run("commit", testFullCommit)
		t.Run("body", testFullBody)
		t.Run("settle", testFullSettle)
		t.Run("flush", testFullFlush)
	})
	t.Run("X05", testCorrupt)
	t.Run("X07", testSecondProcess)
}

func testFullCommit(t *testing.T) {
	t.Parallel()
	s, q, mem := openFull(t)
	mail := newMail()
	kept, ds := mail.message(1, 3000)
	if err := commit(t.Context(), s, kept, ds); err != nil {
		t.Fatal(err)
	}
	if _, err := mem.Stat("spool/reserve"); err != nil {
		t.Errorf("reserve before: %v", err)
	}
	q.full.Store(true)
	refused, ds := mail.message(2, 3000)
	wantStorageFull(t, "commit", commit(t.Context(), s, refused, ds))
	wantStorageFull(t, "admit", s.Admit(0))
	if _, err := mem.Stat("spool/reserve"); err == nil {
		t.Error("the reserve was not given up")
	}
	if err := s.Close(); err == nil {
		t.Error("close while the disk is full: want an error")
	}
	q.full.Store(false)
	eventually(t, "the disk is seen to have space", func() bool { return s.Admit(0) == nil })
	eventually(t, "the refused message is undone", func() bool {
		return slices.Equal(arrived(t, s), []relay.ID{kept.ID})
	})
	wantKeys(t, s, 'b', 1)
	wantKeys(t, s, 'q', 1)
	if claimed, _, err := s.Claim(t.Context(), here, "flow", time.Unix(3, 0), 9); err != nil || len(claimed) != 1 {
		t.Errorf("claim: got %v, %v, want one", claimed, err)
	}
	again, ds := mail.message(1, 3000)
	if err := commit(t.Context(), s, again, ds); err != nil {
		t.Errorf("commit afterwards: %v", err)
	}
}

func testFullBody(t *testing.T) {
	t.Parallel()
	s, q, _ := openFull(t)
	d, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	piece := make([]byte, 100<<10)
	q.full.Store(true)
	for err == nil { // the log takes a few pieces before it has to write
		_, err = d.Write(piece)
	}
	wantStorageFull(t, "write", err)
	d.Discard()
	q.full.Store(false)
	eventually(t, "the disk is seen to have space", func() bool { return s.Admit(0) == nil })
	eventually(t, "the draft is removed", func() bool {
		left, err := s.Keys('b')
		notes, err2 := s.Keys('t')
		return err == nil && err2 == nil && len(left)+len(notes) == 0
	})
}

func testFullSettle(t *testing.T) {
	t.Parallel()
	s, q, _ := openFull(t)
	mail := newMail()
	var ds []relay.Delivery
	for range 50 {
		m, d := mail.message(1, 3000)
		d[0].Claimed = true
		if err := commit(t.Context(), s, m, d); err != nil {
			t.Fatal(err)
		}
		ds = append(ds, d...)
	}
	q.full.Store(true)
	settled := make(chan error, 1)
	notice := make([]byte, 200<<10) // so that the log has to write
	go func() {
		var errs []error
		for _, d := range ds {
			m, nd := mail.message(1, len(notice))
			errs = append(errs, s.Settle(t.Context(), relay.Settlement{Delivery: d, Notices: []relay.Notice{{Message: m, Body: notice, Deliveries: nd}}}))
		}
		settled <- errors.Join(errs...)
	}()
	eventually(t, "the disk is seen to be full", func() bool { return s.Admit(0) != nil })
	q.full.Store(false)
	if err := <-settled; err != nil {
		t.Errorf("settle: %v", err)
	}
	if got := len(arrived(t, s)); got != len(ds) {
		t.Errorf("got %d messages, want the %d notices", got, len(ds))
	}
}

func testFullFlush(t *testing.T) {
	t.Parallel()
	s, q, _ := openFull(t)
	mail := newMail()
	m, ds := mail.message(1, 300<<10)
	if err := commit(t.Context(), s, m, ds); err != nil {
		t.Fatal(err)
	}
	q.full.Store(true)
	flushed := make(chan error, 1)
	go func() { flushed <- s.Flush() }()
	eventually(t, "the disk is seen to be full", func() bool { return s.Admit(0) != nil })
	if err := whole(t.Context(), s, m.ID); err != nil {
		t.Errorf("read while the disk is full: %v", err)
	}
	q.full.Store(false)
	if err := <-flushed; err != nil {
		t.Errorf("flush: %v", err)
	}
	if err := whole(t.Context(), s, m.ID); err != nil {
		t.Error(err)
	}
}

func TestAdmit(t *testing.T) {
	t.Parallel()
	var free atomic.Int64
	free.Store(1000)
	mem, now := vfs.NewMem(), newClock()
	s, err := spool.Open(spool.Options{
		Dir: "spool", FS: mem, MinFree: 100, Reserve: 50, Now: now.now,
		FreeSpace: func() (int64, error) { return free.Load(), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tests := []struct {
		free, size int64
		ok         bool
	}{{1000, 0, true}, {1000, 900, true}, {1000, 901, false}, {100, 0, true}, {99, 0, false}, {0, 0, false}}
	for _, tt := range tests {
		free.Store(tt.free)
		now.advance(time.Second)
		if err := s.Admit(tt.size); (err == nil) != tt.ok {
			t.Errorf("%d free, size %d: got %v, want ok %v", tt.free, tt.size, err, tt.ok)
		} else if err != nil {
			wantStorageFull(t, "admit", err)
		}
	}
	// Deliveries go on below the limit.
	m, ds := newMail().message(1, 10)
	if err := commit(t.Context(), s, m, ds); err != nil {
		t.Errorf("commit: %v", err)
	}
}
