package spool_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"postrider/spool"
)

// badCopy fails the k-th operation that makes a copy of a spool, and those after it where it is for
// good.
type badCopy struct {
	cause   error
	forGood bool

	mu   sync.Mutex
	k, n int
}

// MaybeError lets all else be.
func (b *badCopy) MaybeError(op errorfs.Op) error {
	if !makesCopy(op) {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.k == 0 {
		return nil
	}
	if b.n++; b.n == b.k || b.forGood && b.n > b.k {
		return b.cause
	}
	return nil
}

func (b *badCopy) String() string { return "bad copy" }

// makesCopy says whether an operation writes the copy, or reads what is copied. A link goes by the
// name of what it leads to, and the copy lies in the working directory.
func makesCopy(op errorfs.Op) bool {
	switch op.Kind {
	case errorfs.OpLink:
		return true
	case errorfs.OpOpen, errorfs.OpFileRead:
		if ext := filepath.Ext(op.Path); ext != ".sst" && ext != ".blob" {
			return true
		}
	}
	return strings.HasPrefix(op.Path, "copy") || op.Path == "."
}

// from has the k-th operation from now on fail; 0 none. It gives how many there were before.
func (b *badCopy) from(k int) (were int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	were, b.k, b.n = b.n, k, 0
	return were
}

// A checkpoint of which any operation fails, for whatever reason, is an error of which nothing
// stays, or a checkpoint that holds everything, also after a power loss. The spool waits for nothing,
// goes on accepting, and the next checkpoint succeeds.
func TestCheckpointFails(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{syscall.ENOSPC, syscall.EIO, syscall.EACCES} {
		for _, forGood := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, for good=%v", cause, forGood), func(t *testing.T) {
				t.Parallel()
				failCheckpoints(t, &badCopy{cause: cause, forGood: forGood})
			})
		}
	}
}

func failCheckpoints(t *testing.T, bad *badCopy) {
	mem, f := vfs.NewCrashableMem(), &faults{}
	s, err := spool.Open(spool.Options{Dir: "spool", FS: errorfs.Wrap(mem, bad), Fault: f.add})
	if err != nil {
		t.Fatal(err)
	}
	mail, failed := newMail(), 0
	m, ds := mail.message(2, 300<<10)
	ds[0].Held = "look"
	if err := commit(t.Context(), s, m, ds); err != nil {
		t.Fatal(err)
	}
	for k := 1; ; k++ {
		if k%8 == 0 {
			if err := s.Flush(); err != nil { // so that there are tables to link, and a log to copy
				t.Fatal(err)
			}
		}
		m, ds := mail.message(1, 3000)
		if err := commit(t.Context(), s, m, ds); err != nil {
			t.Fatalf("commit before operation %d: %v", k, err)
		}
		bad.from(k)
		err := s.Checkpoint(t.Context(), "copy")
		were := bad.from(0)
		switch {
		case err == nil:
			wantWhole(t, mem.CrashClone(vfs.CrashCloneCfg{}), "copy", s)
		case !errors.Is(err, bad.cause) && !strings.Contains(err.Error(), bad.cause.Error()):
			t.Errorf("operation %d: got %v, want %v", k, err, bad.cause)
		default:
			failed++
			// To remove what was made can fail too.
			if _, err := mem.Stat("copy"); err == nil && !bad.forGood {
				t.Errorf("operation %d: something is left of a checkpoint that failed", k)
			}
		}
		if err := s.Discard("copy"); err != nil {
			t.Fatal(err)
		}
		if err := s.Admit(0); err != nil {
			t.Errorf("operation %d: admit: %v", k, err)
		}
		if t.Failed() {
			t.Fatalf("at operation %d", k)
		}
		if were < k {
			break
		}
	}
	if failed < 20 {
		t.Errorf("only %d operations failed", failed)
	}
	if f.count() != 0 {
		t.Errorf("faults: %v", f.all)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// wantWhole checks that a checkpoint is a spool that is whole, with all messages of the one that it
// was made of.
func wantWhole(t *testing.T, fs vfs.FS, dir string, of *spool.Spool) {
	t.Helper()
	c, err := spool.Open(spool.Options{Dir: dir, FS: fs})
	if err != nil {
		t.Errorf("open the copy: %v", err)
		return
	}
	if v := verify(t, c); v.Wrong > 0 {
		t.Errorf("the copy is not whole: %q", v.Faults)
	}
	if got, want := arrived(t, c), arrived(t, of); !slices.Equal(got, want) {
		t.Errorf("the copy has %d messages, want %d", len(got), len(want))
	}
	if err := c.Close(); err != nil {
		t.Errorf("close the copy: %v", err)
	}
}

// While the disk is full there is no checkpoint, and none is waited for: one that is under way when
// it fills up is given up, and nothing of it stays.
func TestCheckpointFull(t *testing.T) {
	t.Parallel()
	s, q, mem := openFull(t)
	mail := newMail()
	m, ds := mail.message(1, 3000)
	if err := commit(t.Context(), s, m, ds); err != nil {
		t.Fatal(err)
	}
	q.full.Store(true)
	wantStorageFull(t, "checkpoint as the disk fills", s.Checkpoint(t.Context(), "copy"))
	wantStorageFull(t, "checkpoint of a full disk", s.Checkpoint(t.Context(), "copy"))
	if _, err := mem.Stat("copy"); err == nil {
		t.Error("there is a copy while the disk is full")
	}
	q.full.Store(false)
	eventually(t, "the disk is seen to have space, and a checkpoint is made", func() bool { return s.Checkpoint(t.Context(), "copy") == nil })
	wantWhole(t, mem, "copy", s)
}

// The spool's own directory is no place for a copy of it.
func TestCheckpointInside(t *testing.T) {
	t.Parallel()
	s, err := spool.Open(spool.Options{Dir: "data/spool", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for dir, ok := range map[string]bool{
		"data/spool": false, "data/spool/copy": false, "data/spool/a/b": false, "data/../data/spool/c": false,
		"data/copy": true, "data/spool2": true, "copy": true,
	} {
		if err := s.Checkpoint(t.Context(), dir); (err == nil) != ok {
			t.Errorf("%s: got %v, want ok %v", dir, err, ok)
		}
	}
}
