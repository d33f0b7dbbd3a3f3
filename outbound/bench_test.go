package outbound_test

import (
	"bytes"
	"fmt"
	"testing"

	"postrider/outbound/outboundtest"
	"postrider/relay"
)

// BenchmarkDeliver sends messages over one warm connection and counts the round trips.
func BenchmarkDeliver(b *testing.B) {
	for _, size := range []int{4 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			p := outboundtest.NewPeer(b, outboundtest.Script{Forget: true})
			c := dial(b, smart(b, nil, p))
			line := []byte("The quick brown fox jumps over the lazy dog. Then it has a rest.....\r\n")
			body := bytes.Repeat(line, size/len(line))
			x := transferFrom(bytes.NewReader(body), int64(len(body)), "a@to.test")
			deliver(b, c, x)
			again := func() (relay.Transfer, bool) { return x, true }
			before := p.Sessions()[0].Turns
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if a := c.Deliver(b.Context(), x, again); a.Replies[0].Code != 250 {
					b.Fatal(a.Replies[0])
				}
			}
			b.ReportMetric(float64(p.Sessions()[0].Turns-before)/float64(b.N), "turns/op")
		})
	}
}
