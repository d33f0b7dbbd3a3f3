package spool_test

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"postrider/relay"
	"postrider/relay/relaytest"
	"postrider/spool"
)

func TestSpool(t *testing.T) {
	t.Parallel()
	open := func(o spool.Options) func(t *testing.T) relay.Spool {
		return func(t *testing.T) relay.Spool {
			o := o
			o.Fault = func(f relay.Fault) { t.Errorf("fault: %s: %v", f.Doing, f.Err) }
			if o.FS != nil {
				o.Dir, o.FS = "spool", vfs.NewMem()
			} else {
				o.Dir = t.TempDir()
			}
			s, err := spool.Open(o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			return s
		}
	}
	t.Run("notes", func(t *testing.T) {
		relaytest.TestNotes(t, func(t *testing.T) relay.Notes { return open(spool.Options{})(t).(relay.Notes) })
	})
	t.Run("on disk", func(t *testing.T) {
		t.Parallel()
		relaytest.TestSpool(t, open(spool.Options{}))
	})
	// With a memtable this small every test meets flushes, compactions and files of values.
	t.Run("flushing", func(t *testing.T) {
		t.Parallel()
		relaytest.TestSpool(t, open(spool.Options{FS: vfs.NewMem(), Memtable: 64 << 10}))
	})
}
