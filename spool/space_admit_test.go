package spool_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"postrider/spool"
)

// The disk is not asked for every message, and yet no answer is older than a moment or than a
// few bytes of ours, and nobody is refused by an old one.
func TestAdmitAsksNowAndThen(t *testing.T) {
	t.Parallel()
	const minFree = 100 << 20
	var free, asked atomic.Int64
	free.Store(1 << 30)
	now := newClock()
	s, err := spool.Open(spool.Options{
		Dir: "spool", FS: vfs.NewMem(), MinFree: minFree, Reserve: -1, Now: now.now, Memtable: 1 << 20,
		FreeSpace: func() (int64, error) {
			asked.Add(1)
			return free.Load(), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	admit := func(size int64, ok bool) {
		t.Helper()
		if err := s.Admit(size); (err == nil) != ok {
			t.Errorf("admit %d with %d free: %v, want ok %v", size, free.Load(), err, ok)
		}
	}
	admit(0, true)
	before := asked.Load()
	for range 1000 {
		admit(1000, true)
	}
	if n := asked.Load() - before; n > 20 { // the background asks too, once a second
		t.Errorf("the disk was asked %d times", n)
	}
	free.Store(minFree - 1)
	now.advance(100 * time.Millisecond)
	admit(0, false)
	free.Store(minFree + 1000) // whoever was refused finds out at once
	admit(1000, true)
	admit(1001, false)
	free.Store(1 << 30)
	now.advance(time.Second)
	admit(0, true)
	free.Store(minFree - 1)
	mail := newMail()
	for range 20 { // with a clock that stands still
		m, ds := mail.message(1, 1<<20)
		if err = commit(t.Context(), s, m, ds); err != nil {
			break
		}
	}
	admit(0, false)
	wantStorageFull(t, "commit", err)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
