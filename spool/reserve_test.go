package spool

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"postrider/relay"
)

func TestReserve(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	told := 0
	o := &Options{Dir: "", FS: fs, Reserve: 50, Fault: func(relay.Fault) { told++ }}
	steps := []struct {
		name string
		free int64
		held bool
	}{
		{"plenty", 1000, true},
		{"below the limit for mail", 90, true},
		{"nearly full", 49, false},
		{"a little", 120, false},
		{"not enough for both", 149, false},
		{"enough for both", 150, true},
	}
	r := newReserve(o)
	for _, s := range steps {
		r.keep(s.free, 100)
		if _, err := fs.Stat("reserve"); (err == nil) != s.held {
			t.Errorf("%s: got %v, want held %v", s.name, err, s.held)
		}
	}
	if told != 1 {
		t.Errorf("got %d faults, want the one that it was given up", told)
	}
	if !newReserve(o).release() {
		t.Error("the reserve of the last run was not found")
	}
	if newReserve(o).release() {
		t.Error("a reserve was given up twice")
	}
}

func TestReserveFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for k := 0; ; k++ {
		fs := vfs.NewMem()
		n, told := -1, 0
		inject := errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
				return nil
			}
			if n++; n == k {
				return broken
			}
			return nil
		})
		r := newReserve(&Options{FS: errorfs.Wrap(fs, inject), Reserve: 50, Fault: func(relay.Fault) { told++ }})
		r.keep(1000, 100)
		if n < k {
			if k < 3 {
				t.Errorf("only %d operations", n)
			}
			return
		}
		if told != 1 {
			t.Errorf("at %d: got %d faults, want 1", k, told)
		}
		if _, err := fs.Stat("reserve"); (err == nil) != r.held {
			t.Errorf("at %d: file %v, held %v", k, err, r.held)
		}
		r.keep(1000, 100)
		if !r.held {
			t.Errorf("at %d: the reserve was not made again", k)
		}
	}
}
