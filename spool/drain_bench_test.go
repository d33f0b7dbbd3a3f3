package spool_test

import (
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"postrider/relay"
	"postrider/spool"
)

// BenchmarkDrain takes messages of 4 KiB out of a bin in the order in which they came, from queues
// that fit into memory and from some that do not. Run it with -benchtime 1x: its unit is a queue.
func BenchmarkDrain(b *testing.B) {
	for _, depth := range []int{10_000, 100_000, 300_000} {
		b.Run(fmt.Sprintf("depth=%d", depth), func(b *testing.B) {
			s, c := openCounted(b, vfs.Default, 0, time.Hour)
			run(b, 20, depth, func(m mail) {
				msg, ds := m.message(1, 4096)
				if err := commit(b.Context(), s, msg, ds); err != nil {
					b.Error(err)
				}
			})
			b.ResetTimer()
			c.bytes.Store(0)
			c.syncs.Store(0)
			c.cpu = used()
			b.StartTimer()
			drain(b, s, depth)
			b.StopTimer()
			c.report(b, depth, 4096)
		})
	}
}

// drain delivers n messages, several at once.
func drain(b *testing.B, s *spool.Spool, n int) {
	b.Helper()
	work := make(chan relay.Delivery, 64)
	var workers sync.WaitGroup
	for range 20 {
		workers.Go(func() {
			buf := make([]byte, 16<<10)
			for d := range work {
				if err := deliver(b, s, d, buf); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for n > 0 {
		ds, _, err := s.Claim(b.Context(), here, "flow", time.Now(), 64)
		if err != nil || len(ds) == 0 {
			b.Errorf("claim: got %d deliveries, %v, with %d to come", len(ds), err, n)
			break
		}
		n -= len(ds)
		for _, d := range ds {
			work <- d
		}
	}
	close(work)
	workers.Wait()
}

// deliver reads a message as an attempt does, and settles it.
func deliver(b *testing.B, s *spool.Spool, d relay.Delivery, buf []byte) error {
	m, err := s.Message(b.Context(), d.Message)
	if err != nil {
		return err
	}
	body, err := s.Body(b.Context(), m)
	if err != nil {
		return err
	}
	defer body.Close()
	for err == nil {
		_, err = body.Read(buf)
	}
	if err != io.EOF {
		return err
	}
	return s.Settle(b.Context(), relay.Settlement{Delivery: d, Message: m, Events: []relay.Event{delivered()}})
}
