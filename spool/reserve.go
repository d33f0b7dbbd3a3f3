package spool

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"postrider/relay"
)

// reserve is a file that does nothing but hold space. Given up when the disk is
// nearly full, it lets what is in the queue be delivered and removed.
type reserve struct {
	fs    vfs.FS
	path  string
	size  int64
	fault func(relay.Fault)

	// failed is set where the last try to make it failed, of which keep tells once.
	failed bool

	mu   sync.Mutex
	held bool
}

func newReserve(o *Options) *reserve {
	path := o.FS.PathJoin(o.Dir, "reserve")
	_, err := o.FS.Stat(path)
	return &reserve{fs: o.FS, path: path, size: o.Reserve, fault: o.Fault, held: err == nil}
}

// keep makes or gives up the reserve as the free space demands. It is made only where
// enough is left beside it for new mail, so that it does not come and go.
func (r *reserve) keep(free, minFree int64) {
	switch {
	case free < r.size:
		r.release()
	case free-r.size >= minFree:
		err := r.make()
		if told := r.failed; err != nil && !told {
			r.fault(relay.Fault{Doing: "make the spool's disk reserve", Err: err})
		}
		r.failed = err != nil
	}
}

// release gives up the reserve and says whether that made room.
func (r *reserve) release() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.held {
		return false
	}
	if err := r.fs.Remove(r.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		r.fault(relay.Fault{Doing: "give up the spool's disk reserve", Err: err})
		return false
	}
	r.held = false
	r.fault(relay.Fault{Doing: "write to the spool's disk", Err: fmt.Errorf("nearly full: gave up the reserve of %d bytes", r.size)})
	return true
}

func (r *reserve) make() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held || r.size == 0 {
		return nil
	}
	if err := r.write(); err != nil {
		return errors.Join(err, r.fs.Remove(r.path))
	}
	r.held = true
	return nil
}

func (r *reserve) write() error {
	f, err := r.fs.Create(r.path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if err := f.Preallocate(0, r.size); err != nil {
		return errors.Join(err, f.Close())
	}
	return errors.Join(f.Sync(), f.Close())
}
