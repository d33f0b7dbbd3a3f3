package spool_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"postrider/relay"
	"postrider/spool"
)

// BenchmarkFind looks for a sender in a week in which mail came in every minute.
func BenchmarkFind(b *testing.B) {
	c := newClock()
	m := mail{relay.NewIDs(c.now, rand.Reader)}
	s, err := spool.Open(spool.Options{Dir: b.TempDir(), FS: vfs.Default, Now: c.now, Reserve: -1})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	for range 7 * 24 * 60 {
		c.advance(time.Minute)
		for range 10 {
			msg, ds := m.message(1, 10)
			msg.Received = c.now()
			d, err := s.Create(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			if err := d.Commit(b.Context(), msg, ds); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := s.Flush(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		for _, err := range s.Find(b.Context(), relay.Query{Sender: "stranger@example.com"}) {
			b.Fatalf("found a stranger: %v", err)
		}
	}
}
