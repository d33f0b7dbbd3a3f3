package spool_test

import (
	"testing"

	"postrider/relay"
	"postrider/spool"
)

func BenchmarkPlaces(b *testing.B) {
	s, err := spool.Open(spool.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	mails := newMail()
	for range 200 {
		m, ds := mails.message(100, 100)
		if err := commit(b.Context(), s, m, ds); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		for _, err := range s.Places(b.Context(), relay.Place{}) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/place")
}
