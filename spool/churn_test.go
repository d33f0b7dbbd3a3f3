package spool_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"postrider/relay"
	"postrider/spool"
)

// Days of mail that comes, waits a while here and there, and goes: what the spool takes on its disk
// and what is left for it to tidy up are those of the days that its history keeps, not of all days. The
// log is left out: a piece of it that is kept to be used again is larger than all else here.
func TestChurnForDays(t *testing.T) {
	t.Parallel()
	days, perHour := 12, 15
	if long() {
		days, perHour = 60, 200
	}
	now := newClock()
	fs, memtable := vfs.NewMem(), int64(256<<10)
	s, err := spool.Open(spool.Options{
		Dir: "spool", FS: fs, Now: now.now, Memtable: memtable, Reserve: -1,
		History: spool.HistoryOptions{Keep: 24 * time.Hour},
		Fault:   func(f relay.Fault) { t.Errorf("fault: %+v", f) },
	})
	if err != nil {
		t.Fatal(err)
	}
	mail := mail{relay.NewIDs(now.now, zeros{})}
	var waiting []relay.ID
	var settled uint64
	for day := range days {
		for range 24 {
			for i := range perHour {
				m, ds := mail.message(1+i%2, 4096)
				if err := commit(t.Context(), s, m, ds); err != nil {
					t.Fatal(err)
				}
				if i%5 == 0 {
					waiting = append(waiting, m.ID)
					continue
				}
				end(t, s, m.ID, "delivered", now.now())
			}
			for len(waiting) > 6*perHour/5 { // for some hours
				end(t, s, waiting[0], "delivered", now.now())
				waiting = waiting[1:]
			}
			now.advance(time.Hour)
			s.TendHistory()
		}
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		if day >= 2 && day < 5 { // the most of some days: right after a compaction less is used
			settled = max(settled, wantTidy(t, s, 1<<62))
		}
	}
	wantTidy(t, s, settled+settled/2)
	if size := manifest(t, fs, "spool"); size > memtable/4 {
		t.Errorf("the manifest has %d KiB beside a memtable of %d KiB", size>>10, memtable>>10)
	}
	for _, id := range waiting {
		if err := whole(t.Context(), s, id); err != nil {
			t.Error(err)
		}
		end(t, s, id, "delivered", now.now())
	}
	wantNothing(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// manifest gives the bytes of the manifests below a directory.
func manifest(t *testing.T, fs vfs.FS, dir string) (size int64) {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := fs.PathJoin(dir, name)
		info, err := fs.Stat(path)
		switch {
		case errors.Is(err, os.ErrNotExist): // just removed
		case err != nil:
			t.Fatal(err)
		case info.IsDir():
			size += manifest(t, fs, path)
		case strings.HasPrefix(name, "MANIFEST-"):
			size += info.Size()
		}
	}
	return size
}

// wantTidy waits until the tables and bodies of the spool take no more than so many bytes and there is
// little to tidy up, and gives the bytes.
func wantTidy(t *testing.T, s *spool.Spool, most uint64) uint64 {
	t.Helper()
	var used, debt uint64
	for range 1000 {
		m := s.Metrics()
		tables, bodies := m.Table.Local, m.BlobFiles.Local
		used = tables.LiveSize + tables.ObsoleteSize + tables.ZombieSize +
			bodies.LiveSize + bodies.ObsoleteSize + bodies.ZombieSize
		debt = m.Compact.EstimatedDebt
		if used <= most && debt < 4<<20 && m.Compact.NumInProgress == 0 {
			t.Logf("%d KiB used", used>>10)
			return used
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d KiB are used, at most %d KiB wanted, with a debt of %d KiB", used>>10, most>>10, debt>>10)
	return used
}
