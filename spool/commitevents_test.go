package spool_test

import (
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"postrider/relay"
	"postrider/spool"
)

// What is committed with a message is there after a crash if the message is: who was redirected can
// be found by the old address.
func TestCommitEvents(t *testing.T) {
	t.Parallel()
	disk := vfs.NewCrashableMem()
	s, err := spool.Open(spool.Options{Dir: "spool", FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	m, ds := newMail().message(1, 10)
	events := []relay.Event{{At: time.Unix(3, 0).UTC(), What: "discarded", Removed: []string{"old@example.net"}, Reply: relay.Reply{Code: 251, Text: "Redirected to 0@example.net"}}}
	d, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write(body(m)); err != nil {
		t.Fatal(err)
	}
	if err := d.Commit(t.Context(), m, ds, events...); err != nil {
		t.Fatal(err)
	}
	left := disk.CrashClone(vfs.CrashCloneCfg{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = spool.Open(spool.Options{Dir: "spool", FS: left}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	m.Received = m.Received.UTC()
	want := &relay.Life{Facts: relay.FactsOf(m), Events: events, Queued: true}
	wantLife(t, s, want)
	if got := found(t, s, relay.Query{Recipient: "old@example.net"}); !slices.Equal(got, []relay.ID{m.ID}) {
		t.Errorf("found %v by the old recipient, want %v", got, m.ID)
	}
	claimed, _, err := s.Claim(t.Context(), here, "flow", time.Unix(9, 0), 1)
	if err != nil || len(claimed) != 1 {
		t.Fatalf("claim: %v, %v", claimed, err)
	}
	last := relay.Event{At: time.Unix(9, 0).UTC(), What: "delivered", Recipients: []int{0}}
	if err := s.Settle(t.Context(), relay.Settlement{Delivery: claimed[0], Events: []relay.Event{last}}); err != nil {
		t.Fatal(err)
	}
	want.Events, want.Queued = append(events, last), false
	wantLife(t, s, want)
}
