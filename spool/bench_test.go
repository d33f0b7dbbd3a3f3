package spool_test

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"postrider/relay"
	"postrider/spool"
)

// counted counts the syncs of a file system and the bytes written to it. A sync takes at
// least as long as it is told.
type counted struct {
	vfs.FS
	syncs, bytes atomic.Int64
	sync         time.Duration
	// cpu is what the process had used when the measurement began.
	cpu time.Duration
}

// used is the processor time of the process, which does not depend on what else runs.
func used() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (c *counted) Create(name string, w vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := c.FS.Create(name, w)
	return &countedFile{f, c}, err
}

func (c *counted) ReuseForWrite(from, to string, w vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := c.FS.ReuseForWrite(from, to, w)
	return &countedFile{f, c}, err
}

type countedFile struct {
	vfs.File
	c *counted
}

func (f *countedFile) Write(p []byte) (int, error) {
	f.c.bytes.Add(int64(len(p)))
	return f.File.Write(p)
}

func (f *countedFile) SyncData() error {
	f.c.syncs.Add(1)
	time.Sleep(f.c.sync)
	return f.File.SyncData()
}

func (f *countedFile) Sync() error {
	f.c.syncs.Add(1)
	time.Sleep(f.c.sync)
	return f.File.Sync()
}

func openCounted(b *testing.B, fs vfs.FS, sync, keep time.Duration) (*spool.Spool, *counted) {
	c := &counted{FS: fs, sync: sync}
	s, err := spool.Open(spool.Options{Dir: b.TempDir(), FS: c, History: spool.HistoryOptions{Keep: keep}, Fault: func(f relay.Fault) { b.Errorf("fault: %v", f) }})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Errorf("close: %v", err)
		}
	})
	c.syncs.Store(0)
	c.bytes.Store(0)
	c.cpu = used()
	return s, c
}

// report gives rates in terms of n messages and of their bytes.
func (c *counted) report(b *testing.B, n, size int) {
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64(c.syncs.Load())/float64(n), "syncs/msg")
	b.ReportMetric(float64((used()-c.cpu).Microseconds())/float64(n), "cpu-us/msg")
	b.ReportMetric(float64(c.bytes.Load())/float64(n*size), "written/byte")
}

// BenchmarkCommit commits messages of 4 KiB that stay.
func BenchmarkCommit(b *testing.B) {
	for _, sync := range []time.Duration{0, 2 * time.Millisecond} {
		for _, n := range []int{1, 10, 100} {
			b.Run(fmt.Sprintf("sync=%s/committers=%d", sync, n), func(b *testing.B) {
				s, c := openCounted(b, vfs.Default, sync, 0)
				run(b, n, b.N, func(m mail) {
					msg, ds := m.message(1, 4096)
					if err := commit(b.Context(), s, msg, ds); err != nil {
						b.Error(err)
					}
				})
				c.report(b, b.N, 4096)
			})
		}
	}
}

// BenchmarkChurn commits messages and settles each at once, as when all next hops are well.
func BenchmarkChurn(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 10, 1 << 20} {
		for _, keep := range []time.Duration{-1, time.Hour} {
			b.Run(fmt.Sprintf("size=%d/history=%v", size, keep > 0), func(b *testing.B) { benchmarkChurn(b, size, keep) })
		}
	}
}

// delivered is the event of a delivery.
func delivered() relay.Event {
	return relay.Event{
		At: time.Now(), What: "delivered", Recipients: []int{0}, Host: "mx.example.net", Attempts: 1,
		Reply: relay.Reply{Code: 250, Enhanced: relay.EnhancedCode{2, 0, 0}, Text: "Ok: queued as 4XyZ1234567890"},
	}
}

func benchmarkChurn(b *testing.B, size int, keep time.Duration) {
	s, c := openCounted(b, vfs.Default, 0, keep)
	run(b, 100, b.N, func(m mail) {
		msg, ds := m.message(1, size)
		msg.Header = []byte("Message-ID: <" + msg.ID.String() + "@example.com>\r\nSubject: test\r\n\r\n")
		msg.Size = int64(size + len(msg.Header))
		ds[0].Claimed = true
		if err := commit(b.Context(), s, msg, ds); err != nil {
			b.Error(err)
		}
		st := relay.Settlement{Delivery: ds[0], Message: msg, Events: []relay.Event{delivered()}}
		if err := s.Settle(b.Context(), st); err != nil {
			b.Error(err)
		}
	})
	if err := s.Flush(); err != nil {
		b.Error(err)
	}
	c.report(b, b.N, size)
}

// BenchmarkClaim claims and settles from a bin in which much has been settled before.
func BenchmarkClaim(b *testing.B) {
	s, _ := openCounted(b, vfs.NewMem(), 0, 0)
	m := newMail()
	now := time.Unix(3, 0)
	for b.Loop() {
		msg, ds := m.message(1, 100)
		d, err := s.Create(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if err := d.Commit(b.Context(), msg, ds); err != nil {
			b.Fatal(err)
		}
		claimed, _, err := s.Claim(b.Context(), here, "flow", now, 10)
		if err != nil || len(claimed) != 1 {
			b.Fatalf("claim: got %v, %v", claimed, err)
		}
		if err := s.Settle(b.Context(), relay.Settlement{Delivery: claimed[0]}); err != nil {
			b.Fatal(err)
		}
	}
}

// run does something so many times in n goroutines.
func run(b *testing.B, n, times int, do func(mail)) {
	m := newMail()
	var left atomic.Int64
	left.Store(int64(times))
	b.ResetTimer()
	done := make(chan struct{})
	for range n {
		go func() {
			for left.Add(-1) >= 0 {
				do(m)
			}
			done <- struct{}{}
		}()
	}
	for range n {
		<-done
	}
	b.StopTimer()
}
