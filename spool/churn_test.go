package spool_test

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"postrider/relay"
	"postrider/spool"
)

// Days of mail that comes, waits a while here and there, and goes: what the spool takes on its disk
// and what is left for it to tidy up are those of the days that its history keeps, not of all days.
func TestChurnForDays(t *testing.T) {
	t.Parallel()
	days, perHour := 8, 15
	if long() {
		days, perHour = 60, 200
	}
	now := newClock()
	s, err := spool.Open(spool.Options{
		Dir: "spool", FS: vfs.NewMem(), Now: now.now, Memtable: 256 << 10, Reserve: -1,
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

// wantTidy waits until the spool takes no more than so many bytes and has little to tidy up, and
// gives the bytes.
func wantTidy(t *testing.T, s *spool.Spool, most uint64) uint64 {
	t.Helper()
	var used, debt uint64
	for range 1000 {
		m := s.Metrics()
		used, debt = m.DiskSpaceUsage(), m.Compact.EstimatedDebt
		if used <= most && debt < 4<<20 && m.Compact.NumInProgress == 0 {
			t.Logf("%d KiB used", used>>10)
			return used
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d KiB are used, at most %d KiB wanted, with a debt of %d KiB", used>>10, most>>10, debt>>10)
	return used
}
