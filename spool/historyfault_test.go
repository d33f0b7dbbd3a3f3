package spool_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"postrider/relay"
	"postrider/spool"
)

// What was thrown away of a message may be told after the rest of it has been delivered. That does
// not undo what the history knows.
func TestRecordAfterTheEnd(t *testing.T) {
	t.Parallel()
	s, err := spool.Open(spool.Options{Dir: "spool", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	m, ds := newMail().message(2, 10)
	m.Received = m.Received.UTC()
	if err := commit(t.Context(), s, m, ds[:1]); err != nil {
		t.Fatal(err)
	}
	at := time.Unix(5, 0).UTC()
	end(t, s, m.ID, "delivered", at)
	discarded := relay.Event{At: at.Add(1), What: "discarded", Recipients: []int{1}}
	if err := s.Record(t.Context(), m, discarded); err != nil {
		t.Fatal(err)
	}
	delivered := relay.Event{At: at, What: "delivered", Recipients: []int{0}, Reply: relay.Reply{Code: 250, Text: "Ok"}}
	wantLife(t, s, &relay.Life{Facts: relay.FactsOf(m), Events: []relay.Event{delivered, discarded}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A record of the history that cannot be read is set aside, and hides nothing else.
func TestHistoryCorrupt(t *testing.T) {
	t.Parallel()
	f := &faults{}
	s, err := spool.Open(spool.Options{Dir: "spool", FS: vfs.NewMem(), Fault: f.add})
	if err != nil {
		t.Fatal(err)
	}
	mail := newMail()
	var ids []relay.ID
	for range 3 {
		m, ds := mail.message(2, 10)
		if err := commit(t.Context(), s, m, ds); err != nil {
			t.Fatal(err)
		}
		end(t, s, m.ID, "delivered", time.Now())
		ids = append(ids, m.ID)
	}
	keys, err := s.Keys('h')
	if err != nil || len(keys) != 6 {
		t.Fatalf("keys %x, %v", keys, err)
	}
	for _, key := range keys[1:3] { // the events of the first, and the facts of the second
		if err := s.Overwrite(key, []byte{recordVersion, 0xff}); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := found(t, s, relay.Query{Recipient: "1@example.net"}), []relay.ID{ids[2], ids[0]}; !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
	l, err := s.Life(t.Context(), ids[1])
	if err != nil || l.ID != ids[1] || len(l.Events) != 1 {
		t.Errorf("life: %+v, %v", l, err)
	}
	wantKeys(t, s, 'x', 2)
	if f.count() != 2 {
		t.Errorf("faults %v, want two", f.all)
	}
	for _, id := range ids[:2] {
		if n, err := s.Forget(t.Context(), id); n != 1 || err != nil {
			t.Errorf("forget: %d, %v", n, err)
		}
	}
	if _, err := s.Forget(t.Context(), ids[2]); !errors.Is(err, relay.ErrNotFound) {
		t.Errorf("forget: got %v, want ErrNotFound", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// recordVersion is what every record begins with.
const recordVersion = 2
