package spool_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"postrider/relay"
	"postrider/spool"
)

// clock is one that tests set.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Now().UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()) }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }

// found gives the messages that a query finds, in order.
func found(t *testing.T, s *spool.Spool, q relay.Query) []relay.ID {
	t.Helper()
	var ids []relay.ID
	for l, err := range s.Find(t.Context(), q) {
		if err != nil {
			t.Fatalf("find: %v", err)
		}
		ids = append(ids, l.ID)
	}
	return ids
}

// end settles all deliveries of a message with an event of that word.
func end(t *testing.T, s *spool.Spool, id relay.ID, what string, at time.Time) {
	t.Helper()
	ds, err := s.ClaimMessage(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range ds {
		e := relay.Event{At: at, What: what, Recipients: d.Recipients, Reply: relay.Reply{Code: 250, Text: "Ok"}}
		if err := s.Settle(t.Context(), relay.Settlement{Delivery: d, Events: []relay.Event{e}}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	fs, at := vfs.NewMem(), time.Now().Round(0).UTC()
	open := func() *spool.Spool {
		s, err := spool.Open(spool.Options{Dir: "spool", FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s, mail := open(), newMail()
	m, ds := mail.message(2, 10)
	m.Header = []byte("DKIM-Signature: v=1; a=x;\r\n\td=example.com;\r\n\ts=s1; b=\r\nReceived: x\r\nDKIM-Signature: d=else; s=where\r\n" +
		"Message-ID: <one@example.com>\r\nSubject: hello\r\n\r\n")
	m.Size, m.Tags, m.Origin.User = int64(len(m.Header))+10, []string{"t"}, "user"
	m.Trace = []relay.Verdict{{Rule: "r", Stage: "data", Said: "tag t"}}
	if err := commit(t.Context(), s, m, ds); err != nil {
		t.Fatal(err)
	}
	other, ods := mail.message(1, 10)
	if err := commit(t.Context(), s, other, ods); err != nil {
		t.Fatal(err)
	}
	want := &relay.Life{Queued: true, Facts: relay.Facts{
		ID: m.ID, Received: m.Received.UTC(), Sender: "a@example.com", Recipients: []string{"0@example.net", "1@example.net"},
		MessageID: "one@example.com", Subject: "hello", Size: m.Size, User: "user", Tags: m.Tags, Trace: m.Trace,
		Signatures: []string{"s1._domainkey.example.com"},
	}}
	wantLife(t, s, want)
	claimed, _, err := s.Claim(t.Context(), here, "flow", time.Unix(9, 0), 9)
	if err != nil || len(claimed) != 3 {
		t.Fatalf("claim: %v, %v", claimed, err)
	}
	events := []relay.Event{
		{At: at, What: "deferred", Recipients: []int{0}, Reply: relay.Reply{Code: 451, Enhanced: relay.EnhancedCode{4, 7, 1}, Text: "later", Class: relay.ClassGreylisting}, Host: "mx", Attempts: 1, Connect: 1, Transmit: 2},
		{At: at.Add(1), What: "deleted", Recipients: []int{1}, Author: "ann", Reason: "spam"},
		{At: at.Add(2), What: "delivered", Recipients: []int{0}, Reply: relay.Reply{Code: 250, Text: "Ok"}, Host: "mx", Attempts: 2},
	}
	settle := func(st relay.Settlement) {
		t.Helper()
		if err := s.Settle(t.Context(), st); err != nil {
			t.Fatal(err)
		}
	}
	settle(relay.Settlement{Delivery: claimed[0], Then: claimed[:1], Events: events[:1]})
	settle(relay.Settlement{Delivery: claimed[1], Events: events[1:2]})
	want.Events = events[:2]
	wantLife(t, s, want)
	again, _, err := s.Claim(t.Context(), here, "flow", time.Unix(9, 0), 1)
	if err != nil {
		t.Fatal(err)
	}
	settle(relay.Settlement{Delivery: again[0], Events: events[2:]})
	want.Events, want.Queued = events, false
	for range 2 {
		wantLife(t, s, want)
		for _, tt := range []struct {
			q    relay.Query
			want []relay.ID
		}{
			{relay.Query{MessageID: "one@example.com"}, []relay.ID{m.ID}},
			{relay.Query{MessageID: " <one@example.com>"}, []relay.ID{m.ID}},
			{relay.Query{Sender: "A@example.COM"}, []relay.ID{other.ID, m.ID}},
			{relay.Query{Recipient: "1@EXAMPLE.net"}, []relay.ID{m.ID}},
			{relay.Query{Recipient: "0@example.net", Sender: "b@example.com"}, nil},
			{relay.Query{Recipient: "2@example.net"}, nil},
			{relay.Query{Sender: "a@example.com", Since: time.Unix(2, 0)}, nil},
		} {
			if got := found(t, s, tt.q); !slices.Equal(got, tt.want) {
				t.Errorf("find %+v: got %v, want %v", tt.q, got, tt.want)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open()
	}
	if _, err := s.Life(t.Context(), mail.ids.Next()); !errors.Is(err, relay.ErrNotFound) {
		t.Errorf("life of a stranger: got %v, want ErrNotFound", err)
	}
	for _, err := range s.Find(t.Context(), relay.Query{}) {
		if err == nil {
			t.Error("find everything: want an error")
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func wantLife(t *testing.T, s *spool.Spool, want *relay.Life) {
	t.Helper()
	got, err := s.Life(t.Context(), want.ID)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("life: %v\ngot  %+v\nwant %+v", err, got, want)
	}
}

// What a rule throws away as it arrives is remembered without having been queued.
func TestRecord(t *testing.T) {
	t.Parallel()
	s, err := spool.Open(spool.Options{Dir: "spool", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	m, _ := newMail().message(1, 10)
	events := []relay.Event{{At: time.Unix(3, 0).UTC(), What: "discarded", Recipients: []int{0}, Removed: []string{"gone@example.net"}}}
	if err := s.Record(t.Context(), m, events...); err != nil {
		t.Fatal(err)
	}
	for _, rcpt := range []string{"0@example.net", "Gone@example.net"} {
		if got := found(t, s, relay.Query{Recipient: rcpt}); !slices.Equal(got, []relay.ID{m.ID}) {
			t.Errorf("found %v by %s, want %v", got, rcpt, m.ID)
		}
	}
	m.Received = m.Received.UTC()
	wantLife(t, s, &relay.Life{Facts: relay.FactsOf(m), Events: events})
	wantNothing(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// History goes by age and by size, and none is written where it is switched off.
func TestHistoryIsDropped(t *testing.T) {
	t.Parallel()
	fs, now := vfs.NewMem(), newClock()
	open := func(h spool.HistoryOptions) *spool.Spool {
		s, err := spool.Open(spool.Options{Dir: "spool", FS: fs, Now: now.now, History: h})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open(spool.HistoryOptions{Keep: 48 * time.Hour})
	mail := mail{relay.NewIDs(now.now, zeros{})}
	var ids []relay.ID
	for range 4 {
		m, ds := mail.message(1, 10)
		if err := commit(t.Context(), s, m, ds); err != nil {
			t.Fatal(err)
		}
		end(t, s, m.ID, "delivered", now.now())
		ids = append(ids, m.ID)
		now.advance(24 * time.Hour)
	}
	s.TendHistory()
	if got, want := found(t, s, relay.Query{Sender: "a@example.com"}), []relay.ID{ids[3], ids[2]}; !slices.Equal(got, want) {
		t.Errorf("by age: found %v, want %v", got, want)
	}
	if _, err := s.Life(t.Context(), ids[0]); !errors.Is(err, relay.ErrNotFound) {
		t.Errorf("life of the first: got %v, want ErrNotFound", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(spool.HistoryOptions{Keep: 48 * time.Hour, Size: 1})
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	s.TendHistory()
	if got := found(t, s, relay.Query{Sender: "a@example.com"}); len(got) != 0 {
		t.Errorf("by size: found %v, want none", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(spool.HistoryOptions{Keep: -1})
	m, ds := mail.message(1, 10)
	if err := commit(t.Context(), s, m, ds); err != nil {
		t.Fatal(err)
	}
	end(t, s, m.ID, "delivered", now.now())
	s.TendHistory()
	wantNothing(t, s)
	for _, space := range []byte("hi") {
		wantKeys(t, s, space, 0)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// zeros is a source of chance for tests that want none.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// A search costs what it finds, whatever else there is.
func TestFindAmongMany(t *testing.T) {
	t.Parallel()
	n := 2000
	if long() {
		n = 200_000
	}
	s, err := spool.Open(spool.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	mail := newMail()
	var want relay.ID
	b := make([]*relay.Message, 0, n)
	for i := range n {
		m, _ := mail.message(1, 10)
		m.Envelope.Recipients[0].Address.Local = fmt.Sprintf("user%d", i)
		b = append(b, m)
		if i == n/2 {
			want = m.ID
		}
	}
	for _, m := range b {
		if err := s.Record(t.Context(), m, relay.Event{What: "delivered", Recipients: []int{0}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	got := found(t, s, relay.Query{Recipient: fmt.Sprintf("user%d@example.net", n/2)})
	if took := time.Since(began); took > 200*time.Millisecond {
		t.Errorf("the search took %v", took)
	} else {
		t.Logf("%d messages: found in %v", n, took)
	}
	if !slices.Equal(got, []relay.ID{want}) {
		t.Errorf("found %v, want %v", got, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
