package spool_test

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"postrider/relay"
	"postrider/spool"
)

// Messages are found over more minutes than are looked at in one sweep, more of them in one minute than
// are read at once, and under the days by which format 2 had them. The latest comes first, and what is
// forgotten is found no more.
func TestFindOverTime(t *testing.T) {
	t.Parallel()
	c := newClock()
	m := mail{relay.NewIDs(c.now, rand.Reader)}
	s, err := spool.Open(spool.Options{Dir: "spool", FS: vfs.NewMem(), Now: c.now, History: spool.HistoryOptions{Keep: 48 * time.Hour}, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	began := c.now()
	var all []relay.ID
	arrive := func() {
		msg, ds := m.message(1, 10)
		msg.Received = c.now()
		if err := commit(t.Context(), s, msg, ds); err != nil {
			t.Fatal(err)
		}
		all = append(all, msg.ID)
	}
	arrive()
	byDay(t, s, all[0], "a@example.com")
	for range 1100 {
		c.advance(time.Minute)
		arrive()
	}
	for range 600 {
		arrive()
	}
	slices.Reverse(all)
	of := relay.Query{Sender: "a@example.com"}
	if got := found(t, s, of); !slices.Equal(got, all) {
		t.Errorf("got %d messages, want %d, the latest first", len(got), len(all))
	}
	of.Since, of.Until = began.Add(10*time.Minute), began.Add(20*time.Minute+time.Second)
	if got := found(t, s, of); !slices.Equal(got, all[600+1100-20:600+1100-9]) {
		t.Errorf("got %d messages of ten minutes and both ends, want 11", len(got))
	}
	c.advance(48*time.Hour - 900*time.Minute)
	s.TendHistory()
	if got := len(found(t, s, relay.Query{Sender: "a@example.com"})); got > 1701-140 || got < 900 {
		t.Errorf("%d messages are found after the first hours of 1,701 were forgotten", got)
	}
	c.advance(72 * time.Hour)
	s.TendHistory()
	if got := found(t, s, relay.Query{Sender: "a@example.com"}); len(got) > 0 {
		t.Errorf("%d messages are found after all were forgotten", len(got))
	}
}

// byDay puts a message's sender into the index as format 2 had it, and not otherwise.
func byDay(t *testing.T, s *spool.Spool, id relay.ID, sender string) {
	t.Helper()
	keys, err := s.Keys('i')
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if err := s.Erase(key); err != nil {
			t.Fatal(err)
		}
	}
	h := fnv.New64a()
	h.Write([]byte("s" + sender))
	key := binary.BigEndian.AppendUint32([]byte{'i'}, uint32(id.Time().Unix()/(24*60*60)))
	if err := s.Overwrite(append(h.Sum(key), id[:]...), nil); err != nil {
		t.Fatal(err)
	}
}

// A block of the index that the disk does not give back hides what is in it, and nothing before it.
func TestFindPastBadBlock(t *testing.T) {
	t.Parallel()
	c, fs, f := newClock(), vfs.NewMem(), &faults{}
	m := mail{relay.NewIDs(c.now, rand.Reader)}
	o := spool.Options{Dir: "spool", FS: fs, Now: c.now, Reserve: -1, Fault: f.add}
	s, err := spool.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	const n = 3000
	for range n {
		c.advance(time.Minute)
		msg, ds := m.message(1, 10)
		if err := commit(t.Context(), s, msg, ds); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(s.Flush(), s.Close()); err != nil {
		t.Fatal(err)
	}
	hit := 0
	for table, size := range tablesOf(t, fs) {
		if badIndex(t, o, fs, table, size/2, n) {
			hit++
		}
	}
	if hit != 1 {
		t.Errorf("the index was hit in %d tables, want one", hit)
	}
}

// badIndex spoils a byte of a table in a copy of the spool, and says whether that hit the index. What is older
// than what was hit is found then, and what is younger.
func badIndex(t *testing.T, o spool.Options, from vfs.FS, table string, at int64, n int) bool {
	t.Helper()
	fs := vfs.NewMem()
	if _, err := vfs.Clone(from, fs, "spool", "spool"); err != nil {
		t.Fatal(err)
	}
	flip(t, fs, table, at)
	o.FS = fs
	s, err := spool.Open(o)
	if err != nil {
		return false // the format is in a table of its own
	}
	defer s.Close()
	if _, err := s.Keys('i'); err == nil {
		return false
	}
	got := found(t, s, relay.Query{Sender: "a@example.com"})
	if len(got) < n*3/4 || len(got) == n {
		t.Errorf("%d of %d messages are found, want most, and not those in the bad block", len(got), n)
		return true
	}
	all := arrived(t, s)
	if !slices.Contains(got, all[0]) || !slices.Contains(got, all[n-1]) {
		t.Error("the oldest or the latest message is not found")
	}
	return true
}
