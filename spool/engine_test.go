package spool_test

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"postrider/spool"
)

// Blocks that have been read stay in the cache, whatever the memtables need: Pebble counts these
// against the same bytes.
func TestCacheBesideMemtables(t *testing.T) {
	const memtable, cache = 8 << 20, 1 << 20
	s, err := spool.Open(spool.Options{
		Dir: "spool", FS: vfs.NewMem(), Reserve: -1, Memtable: memtable, Cache: cache, History: spool.HistoryOptions{Keep: time.Hour},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	m := newMail()
	read := 0
	// Memtables are small at first and grow to their size.
	for written := 0; written < 6*memtable; written += 64 << 10 {
		msg, ds := m.message(1, 64<<10)
		if err := commit(t.Context(), s, msg, ds); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, id := range arrived(t, s) {
		if err := whole(t.Context(), s, id); err != nil {
			t.Fatal(err)
		}
		read += 64 << 10
	}
	if got := s.Metrics().BlockCache.Size; got < cache/2 {
		t.Errorf("the cache has %d bytes after %d were read, want about %d at least", got, read, cache)
	}
}

// No table reaches from one space of keys into another.
func TestSpacesByThemselves(t *testing.T) {
	s, err := spool.Open(spool.Options{Dir: "spool", FS: vfs.NewMem(), Reserve: -1, Memtable: 256 << 10, History: spool.HistoryOptions{Keep: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	m := newMail()
	for range 1000 {
		msg, ds := m.message(1, 1<<10)
		if err := commit(t.Context(), s, msg, ds); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	tables, err := s.Tables()
	if err != nil {
		t.Fatal(err)
	}
	spaces := make(map[byte]bool)
	for _, bounds := range tables {
		if first, last := bounds[0][0], bounds[1][0]; first != last {
			t.Errorf("a table reaches from %c to %c", first, last)
		}
		spaces[bounds[0][0]] = true
	}
	if len(spaces) < 5 {
		t.Errorf("there are tables of %d spaces, want those of messages, bodies, deliveries, locations and the index at least", len(spaces))
	}
}
