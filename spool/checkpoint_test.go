package spool_test

import (
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"postrider/spool"
)

// A checkpoint that fails at any of its operations, for whatever reason, is an error and nothing
// more: the spool waits for nothing, goes on accepting, and the next checkpoint succeeds.
func TestCheckpointFails(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{syscall.ENOSPC, syscall.EIO, syscall.EACCES} {
		var k, n atomic.Int64
		inject := errorfs.InjectorFunc(func(op errorfs.Op) error {
			if strings.HasPrefix(op.Path, "copy") && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && n.Add(1) == k.Load() {
				return cause
			}
			return nil
		})
		f := &faults{}
		s, err := spool.Open(spool.Options{Dir: "spool", FS: errorfs.Wrap(vfs.NewMem(), inject), Fault: f.add})
		if err != nil {
			t.Fatal(err)
		}
		mail := newMail()
		for failed := 0; ; failed++ {
			m, ds := mail.message(1, 3000)
			if err := commit(t.Context(), s, m, ds); err != nil {
				t.Fatalf("%v at operation %d: commit: %v", cause, k.Load(), err)
			}
			n.Store(0)
			k.Add(1)
			err := s.Checkpoint(t.Context(), "copy")
			if err == nil && n.Load() < k.Load() {
				if failed < 5 {
					t.Errorf("%v: only %d operations", cause, failed)
				}
				break
			}
			// What it does to clean up can fail too, and what is left then is in the way.
			if err != nil && !strings.Contains(err.Error(), cause.Error()) {
				t.Fatalf("%v at operation %d: %v", cause, k.Load(), err)
			}
			if err := s.Discard("copy"); err != nil {
				t.Fatal(err)
			}
			if err := s.Admit(0); err != nil {
				t.Fatalf("%v at operation %d: admit: %v", cause, k.Load(), err)
			}
		}
		if f.count() != 0 {
			t.Errorf("%v: faults: %v", cause, f.all)
		}
		if err := s.Close(); err != nil {
			t.Errorf("%v: close: %v", cause, err)
		}
	}
}
