package spool_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"postrider/relay"
	"postrider/spool"
)

// A stop must not wait for a full disk: Settle's context ends.
func TestSettleContext(t *testing.T) {
	s, q, _ := openFull(t)
	mail := newMail()
	m, ds := mail.message(2, 3000)
	ds[0].Claimed, ds[1].Claimed = true, true
	if err := commit(t.Context(), s, m, ds); err != nil {
		t.Fatal(err)
	}
	q.full.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	notice := make([]byte, 400<<10)
	go func() {
		var err error
		for i := 0; err == nil && i < 60; i++ { // the log takes some before it has to write
			mm, d := mail.message(1, len(notice))
			d[0].Claimed = true
			err = s.Settle(ctx, relay.Settlement{Delivery: ds[0], Then: []relay.Delivery{ds[0]}, Notices: []relay.Notice{{Message: mm, Body: notice, Deliveries: d}}})
			if err == nil {
				cs, e := s.ClaimMessage(ctx, m.ID)
				if e != nil || len(cs) != 1 {
					err = fmt.Errorf("claim again: %v %v", cs, e)
				}
			}
		}
		done <- err
	}()
	eventually(t, "full", func() bool { return s.Admit(0) != nil })
	time.Sleep(100 * time.Millisecond)
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the context's error", err)
		}
	case <-time.After(2 * time.Second):
		t.Error("Settle goes on for 2 s after the end of its context")
	}
	q.full.Store(false)
	eventually(t, "space", func() bool { return s.Admit(0) == nil })
}

// Close while the last sync fails.
func TestCloseBroken(t *testing.T) {
	for name, cause := range map[string]error{"EIO": syscall.EIO, "ENOSPC": syscall.ENOSPC} {
		t.Run(name, func(t *testing.T) {
			var broken atomic.Bool
			inject := errorfs.InjectorFunc(func(op errorfs.Op) error {
				if broken.Load() && (op.Kind == errorfs.OpFileWrite || op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) {
					return cause
				}
				return nil
			})
			s, err := spool.Open(spool.Options{Dir: "spool", FS: errorfs.Wrap(vfs.NewMem(), inject), Reserve: -1}.RetryEvery(time.Millisecond))
			if err != nil {
				t.Fatal(err)
			}
			mail := newMail()
			m, ds := mail.message(1, 3000)
			ds[0].Claimed = true
			if err := commit(t.Context(), s, m, ds); err != nil {
				t.Fatal(err)
			}
			if err := s.Settle(t.Context(), relay.Settlement{Delivery: ds[0]}); err != nil {
				t.Fatal(err)
			}
			broken.Store(true) // within syncDelay of the settle
			done := make(chan error, 1)
			go func() { done <- s.Close() }()
			select {
			case err := <-done:
				t.Logf("close: %v", err)
			case <-time.After(3 * time.Second):
				t.Error("Close hangs")
				rd := make(chan struct{})
				go func() { s.Message(t.Context(), m.ID); close(rd) }()
				select {
				case <-rd:
				case <-time.After(time.Second):
					t.Error("and so does every reader")
				}
			}
		})
	}
}

// Bodies under way must not eat what MinFree keeps for deliveries.
func TestSpillMinFree(t *testing.T) {
	var free atomic.Int64
	free.Store(300 << 20)
	s, err := spool.Open(spool.Options{Dir: "spool", FS: vfs.NewMem(), MinFree: 256 << 20, Reserve: -1, FreeSpace: func() (int64, error) { return free.Load(), nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Discard()
	piece := make([]byte, 1<<20)
	for err == nil && free.Load() > 0 {
		_, err = d.Write(piece)
		free.Add(-1 << 20)
	}
	wantStorageFull(t, "write", err)
	if free.Load() < 200<<20 {
		t.Errorf("%d bytes left of the 256 MiB that deliveries need", free.Load())
	}
}

// Tables cannot be written for good: the log fills, and everybody hangs with no answer.
func TestTablesBroken(t *testing.T) {
	var broken atomic.Bool
	inject := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && op.Kind == errorfs.OpCreate && len(op.Path) > 4 && (op.Path[len(op.Path)-4:] == ".sst" || op.Path[len(op.Path)-4:] == "blob") {
			return syscall.EIO
		}
		return nil
	})
	s, err := spool.Open(spool.Options{Dir: "spool", FS: errorfs.Wrap(vfs.NewMem(), inject), Memtable: 1 << 20}.RetryEvery(time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	mail := newMail()
	broken.Store(true)
	n := 0
	for ; n < 200; n++ {
		m, ds := mail.message(1, 60<<10)
		done := make(chan error, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		go func() { done <- commit(ctx, s, m, ds) }()
		select {
		case err := <-done:
			cancel()
			if err != nil {
				t.Logf("refused at %d: %v", n, err)
				broken.Store(false)
				eventually(t, "accepts again", func() bool { return s.Admit(0) == nil })
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				return
			}
		case <-time.After(3 * time.Second):
			cancel()
			t.Errorf("commit %d hangs; Admit says %v; Failed %v", n, s.Admit(0), func() bool {
				select {
				case <-s.Failed():
					return true
				default:
					return false
				}
			}())
			broken.Store(false)
			<-done
			return
		}
	}
	t.Error("never refused")
}

// One delivery record whose bytes the disk does not give back must not stop its bin.
func TestCorruptBlob(t *testing.T) {
	mem := vfs.NewMem()
	f := &faults{}
	o := spool.Options{Dir: "spool", FS: mem, Fault: f.add}
	s, err := spool.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	mail := newMail()
	for i := range 3 {
		m, ds := mail.message(1, 10)
		if i == 1 {
			ds[0].Recipients = make([]int, 4000)
		}
		if err := commit(t.Context(), s, m, ds); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	names, _ := mem.List("spool")
	hit := 0
	for _, n := range names {
		if len(n) > 5 && n[len(n)-5:] == ".blob" {
			hit++
			file, err := mem.OpenReadWrite("spool/"+n, vfs.WriteCategoryUnspecified)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := file.WriteAt([]byte("rubbish"), 100); err != nil {
				t.Fatal(err)
			}
			file.Close()
		}
	}
	if hit == 0 {
		t.Fatal("no blob", names)
	}
	s, err = spool.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 3 {
		ds, _, err := s.Claim(t.Context(), here, "flow", time.Unix(3, 0), 9)
		if err == nil && len(ds) == 2 {
			return
		}
		t.Logf("claim: %d, %v", len(ds), err)
	}
	t.Error("the good deliveries of the bin are never claimed")
}

// A spool that cannot be written hands nothing out, as it could not be settled, and a
// quarantine that fails gives nobody's claim away.
func TestBrokenHandsNothingOut(t *testing.T) {
	var broken atomic.Bool
	inject := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			return syscall.EIO
		}
		return nil
	})
	s, err := spool.Open(spool.Options{Dir: "spool", FS: errorfs.Wrap(vfs.NewMem(), inject)})
	if err != nil {
		t.Fatal(err)
	}
	mail := newMail()
	m, ds := mail.message(1, 10)
	if err := commit(t.Context(), s, m, ds); err != nil {
		t.Fatal(err)
	}
	wantClaimed(t, s, m)
	broken.Store(true)
	m2, ds2 := mail.message(1, 10)
	_ = commit(t.Context(), s, m2, ds2)
	<-s.Failed()
	if err := s.Quarantine(t.Context(), m.ID, "x"); err == nil {
		t.Error("want an error")
	}
	for _, id := range []relay.ID{m.ID, m2.ID} {
		if ds, err := s.ClaimMessage(t.Context(), id); err == nil || len(ds) != 0 {
			t.Errorf("claimed %v, %v", ds, err)
		}
	}
	if ds, _, err := s.Claim(t.Context(), here, "flow", time.Unix(3, 0), 9); err == nil || len(ds) != 0 {
		t.Errorf("claimed %v, %v", ds, err)
	}
}

// A file system that cannot preallocate is not reported every second.
func TestReserveUnsupported(t *testing.T) {
	f := &faults{}
	inject := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFilePreallocate {
			return syscall.EOPNOTSUPP
		}
		return nil
	})
	s, err := spool.Open(spool.Options{Dir: "spool", FS: errorfs.Wrap(vfs.NewMem(), inject), Fault: f.add})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	time.Sleep(3500 * time.Millisecond)
	if f.count() > 1 {
		t.Errorf("%d faults in 3.5 s: %v", f.count(), f.all[0])
	}
}
