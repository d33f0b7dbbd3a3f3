package spool_test

import (
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"postrider/relay"
	"postrider/spool"
)

// usedBy is how many bytes the files of a directory have.
func usedBy(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && e.Name() != "reserve" {
			if i, err := e.Info(); err == nil {
				n += i.Size()
			}
		}
		return nil
	})
	return n
}

// New mail is refused when the disk is nearly full. Once the queue is delivered, it is accepted again.
func TestSpaceComesBack(t *testing.T) {
	dir := t.TempDir()
	s, err := spool.Open(spool.Options{
		Dir: dir, MinFree: 100 << 20, Reserve: -1, Memtable: 8 << 20,
		FreeSpace: func() (int64, error) { return 300<<20 - usedBy(dir), nil },
		Fault:     func(f relay.Fault) { t.Errorf("fault %s: %v", f.Doing, f.Err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mail := newMail()
	r := rand.NewChaCha8([32]byte{1})
	buf := make([]byte, 1<<20)
	var queue []relay.Delivery
	for s.Admit(0) == nil {
		r.Read(buf)
		m, ds := mail.message(1, len(buf))
		ds[0].Claimed = true
		d, err := s.Create(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Write(buf); err != nil {
			d.Discard()
			break
		}
		if err := d.Commit(t.Context(), m, ds); err != nil {
			t.Fatal(err)
		}
		queue = append(queue, ds...)
	}
	for _, d := range queue {
		if err := s.Settle(t.Context(), relay.Settlement{Delivery: d}); err != nil {
			t.Fatal(err)
		}
	}
	wantNothing(t, s)
	began := time.Now()
	for s.Admit(0) != nil {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("the queue of %d MiB is delivered, and 20 s later %d MiB are still in use", len(queue), usedBy(dir)>>20)
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Logf("queue of %d MiB: space after %v, %d MiB in use", len(queue), time.Since(began), usedBy(dir)>>20)
}
