package spool_test

import (
	"crypto/rand"
	"encoding/binary"
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
