package spool_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"postrider/relay"
	"postrider/spool"
)

// A block of a table that the disk does not give back takes what is in it, and nothing else: each
// other delivery of its bin is claimed, each other bin is found, and it is reported once.
func TestBadBlock(t *testing.T) {
	t.Parallel()
	const n = 1000
	fs := vfs.NewMem()
	s, err := spool.Open(spool.Options{Dir: "spool", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	mail := newMail()
	for i := range n {
		m, ds := mail.message(1, 10)
		ds[0].Due = time.Unix(2, int64(i))
		if i%3 == 0 {
			ds[0].To.Domain = m.ID.String() // a bin of its own
		}
		if err := commit(t.Context(), s, m, ds); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	step, hit := int64(16<<10), 0
	if long() {
		step = 512
	}
	tables := tablesOf(t, fs)
	for table, size := range tables {
		for at := size / 3; at < size; at += step {
			if spoilt(t, fs, table, at, n) {
				hit++
			}
		}
	}
	if hit == 0 {
		t.Errorf("no block of deliveries was hit, in %v", tables)
	}
}

// tablesOf gives the tables of a spool and their sizes.
func tablesOf(t *testing.T, fs vfs.FS) map[string]int64 {
	t.Helper()
	names, err := fs.List("spool")
	if err != nil {
		t.Fatal(err)
	}
	sizes := make(map[string]int64)
	for _, n := range names {
		if filepath.Ext(n) != ".sst" {
			continue
		}
		info, err := fs.Stat("spool/" + n)
		if err != nil {
			t.Fatal(err)
		}
		sizes["spool/"+n] = info.Size()
	}
	return sizes
}

// spoilt opens a copy of the spool with a byte changed, and says whether that hit deliveries.
func spoilt(t *testing.T, from vfs.FS, table string, at int64, n int) bool {
	t.Helper()
	fs, f := vfs.NewMem(), &faults{}
	if _, err := vfs.Clone(from, fs, "spool", "spool"); err != nil {
		t.Fatal(err)
	}
	flip(t, fs, table, at)
	s, err := spool.Open(spool.Options{Dir: "spool", FS: fs, Fault: f.add})
	if err != nil {
		return false // what leads to all blocks
	}
	defer s.Close()
	if _, err := s.Keys('d'); err != nil {
		return false
	}
	if _, err := s.Keys('q'); err == nil {
		return false
	}
	wantAllButAside(t, s, at, n)
	if f.count() > 6 {
		t.Errorf("byte %d: %d faults, want few: %v", at, f.count(), f.all)
	}
	return true
}

// flip changes a byte of a file.
func flip(t *testing.T, fs vfs.FS, name string, at int64) {
	t.Helper()
	file, err := fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	if _, err := file.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x55
	if _, err := file.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

// wantAllButAside claims from all bins: each delivery is there or set aside.
func wantAllButAside(t *testing.T, s *spool.Spool, at int64, n int) {
	t.Helper()
	places := 0
	for _, err := range s.Places(t.Context(), relay.Place{}) {
		if err != nil {
			t.Errorf("byte %d: places: %v", at, err)
			return
		}
		places++
	}
	claimed := make(map[relay.ID]bool)
	for round := range 2 { // the second finds nothing
		for head, err := range s.Bins(t.Context(), relay.BinHead{}) {
			if err != nil {
				t.Errorf("byte %d: bins: %v", at, err)
				return
			}
			for {
				ds, _, err := s.Claim(t.Context(), head.To, head.Flow, time.Unix(9, 0), 100)
				if err != nil {
					t.Errorf("byte %d: claim: %v", at, err)
					return
				}
				if len(ds) == 0 {
					break
				}
				for _, d := range ds {
					if claimed[d.Message] || round > 0 {
						t.Errorf("byte %d: %s was claimed twice", at, d.Message)
					}
					claimed[d.Message] = true
				}
			}
		}
	}
	aside := 0
	for _, err := range s.Aside(t.Context()) {
		if err != nil {
			t.Errorf("byte %d: aside: %v", at, err)
		}
		aside++
	}
	if len(claimed)+aside != n || aside == 0 || aside > n/2 || places != len(claimed) {
		t.Errorf("byte %d: %d places, %d claimed and %d set aside of %d", at, places, len(claimed), aside, n)
	}
}
