package spool

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"postrider/relay"
)

// disk is the file system that Pebble is given. To Pebble a full disk is a slow one: an
// operation that finds no room gives up the reserve, and then waits until there is some.
//
// A sync that finds no room is not tried again. The kernel may have dropped what it could
// not write, and a second sync would succeed without it. Such a failure, and any other to
// write what is not a table, is one that Pebble ends the process for, at places with locks
// that it does not give back. So it does not hear of it: the operation never returns, the
// spool is told, and does not wait for it.
//
// That holds for the files of the spool, which lie in its directory. A checkpoint's lie elsewhere:
// what goes wrong with those is an error like any other.
type disk struct {
	vfs.FS
	dir     string
	reserve *reserve
	fault   func(relay.Fault)
	retry   time.Duration
	// stop ends all waits, with the error that they wait about.
	stop chan struct{}
	// fail is told of what cannot be survived, once the spool is open.
	fail func(error)
	open atomic.Bool

	// troubled is set by a failed flush or compaction. Pebble tries again without a pause,
	// so the next file waits instead.
	troubled atomic.Bool

	// syncs and written count what is asked of the disk.
	syncs, written atomic.Int64

	mu      sync.Mutex
	waiting int
	// stalled is set while Pebble takes no writes because it is behind with its tables, and
	// failing while it fails to write them. Both together are as bad as a full disk.
	stalled, failing bool
	// full is closed while an operation waits.
	full chan struct{}
}

func newDisk(o *Options, fail func(error)) *disk {
	return &disk{
		FS:      o.FS,
		dir:     filepath.Clean(o.Dir),
		reserve: newReserve(o),
		fault:   o.Fault,
		retry:   o.retry,
		fail:    fail,
		stop:    make(chan struct{}),
		full:    make(chan struct{}),
	}
}

// errFull is the cause of a refusal while the disk has no room at all.
var errFull = errors.New("no space left on the disk of the spool")

// filled returns a channel that is closed while the disk is full.
func (d *disk) filled() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.full
}

// check returns a reply while the disk is full.
func (d *disk) check() error {
	select {
	case <-d.filled():
		return relay.StorageFull(errFull)
	default:
		return nil
	}
}

// do runs an operation until it does not fail for want of space.
func (d *disk) do(op func() error) error {
	err := op()
	if !noSpace(err) {
		return err
	}
	if d.reserve.release() {
		if err = op(); !noSpace(err) {
			return err
		}
	}
	d.wait(1, err)
	for noSpace(err) {
		select {
		case <-d.stop:
			d.wait(-1, err)
			return err
		case <-time.After(d.retry):
		}
		err = op()
	}
	d.wait(-1, err)
	return err
}

// wait counts the operations that wait; the first and the last make the difference.
func (d *disk) wait(n int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.count(n, err)
}

// note changes stalled or failing.
func (d *disk) note(flag *bool, on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	was := d.stalled && d.failing
	*flag = on
	switch is := d.stalled && d.failing; {
	case is && !was:
		d.count(1, errTables)
	case was && !is:
		d.count(-1, nil)
	}
}

// errTables is why nothing can be written while the log has room.
var errTables = errors.New("tables cannot be written")

func (d *disk) count(n int, err error) {
	before := d.waiting
	d.waiting += n
	switch {
	case before == 0:
		close(d.full)
		d.fault(relay.Fault{Doing: "write to the spool's disk, which is full; waiting for space", Err: err})
	case d.waiting == 0:
		d.full = make(chan struct{})
	}
}

func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// Unwrap gives the file system below, for vfs.Root.
func (d *disk) Unwrap() vfs.FS { return d.FS }

// ours says whether a file is one of the spool's.
func (d *disk) ours(name string) bool {
	name = filepath.Clean(name)
	return name == d.dir || filepath.Dir(name) == d.dir
}

// holds says whether a path is the spool's directory, or below it.
func (d *disk) holds(path string) bool {
	rest, err := filepath.Rel(d.dir, path)
	return err == nil && filepath.IsLocal(rest)
}

// doFor is do for a file of the spool.
func (d *disk) doFor(name string, op func() error) error {
	if !d.ours(name) {
		return op()
	}
	return d.do(op)
}

// freeze does not return an error that Pebble could not survive. Tables are none of
// those: Pebble writes them again.
func (d *disk) freeze(name string, err error) error {
	ext := filepath.Ext(name)
	if err == nil || !d.ours(name) || ext == ".sst" || ext == ".blob" || !d.open.Load() {
		return err
	}
	d.fail(err)
	<-d.stop
	return err
}

// Create waits for space.
func (d *disk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if d.ours(name) && d.troubled.Swap(false) {
		select {
		case <-d.stop:
		case <-time.After(d.retry):
		}
	}
	return d.file(name, func() (vfs.File, error) { return d.FS.Create(name, c) })
}

// OpenReadWrite waits for space.
func (d *disk) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return d.file(name, func() (vfs.File, error) { return d.FS.OpenReadWrite(name, c, opts...) })
}

// ReuseForWrite waits for space.
func (d *disk) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.file(to, func() (vfs.File, error) { return d.FS.ReuseForWrite(from, to, c) })
}

// OpenDir opens the directory, whose syncs matter as those of the files in it.
func (d *disk) OpenDir(name string) (vfs.File, error) {
	return d.file(name, func() (vfs.File, error) { return d.FS.OpenDir(name) })
}

func (d *disk) file(name string, op func() (vfs.File, error)) (vfs.File, error) {
	var f vfs.File
	err := d.doFor(name, func() (err error) {
		f, err = op()
		return err
	})
	if err != nil {
		return nil, d.freeze(name, err)
	}
	return &diskFile{File: f, d: d, name: name}, nil
}

// Rename waits for space.
func (d *disk) Rename(from, to string) error {
	return d.freeze(to, d.doFor(to, func() error { return d.FS.Rename(from, to) }))
}

// Link waits for space.
func (d *disk) Link(from, to string) error {
	return d.freeze(to, d.doFor(to, func() error { return d.FS.Link(from, to) }))
}

// MkdirAll waits for space.
func (d *disk) MkdirAll(dir string, mode os.FileMode) error {
	return d.doFor(dir, func() error { return d.FS.MkdirAll(dir, mode) })
}

// diskFile is a file that waits for space.
type diskFile struct {
	vfs.File
	d    *disk
	name string
}

func (f *diskFile) Write(p []byte) (n int, err error) {
	err = f.d.doFor(f.name, func() error {
		m, err := f.File.Write(p[n:])
		f.d.written.Add(int64(m))
		n += m
		return err
	})
	return n, f.d.freeze(f.name, err)
}

func (f *diskFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.d.doFor(f.name, func() error {
		m, err := f.File.WriteAt(p[n:], off+int64(n))
		f.d.written.Add(int64(m))
		n += m
		return err
	})
	return n, f.d.freeze(f.name, err)
}

func (f *diskFile) Sync() error {
	f.d.syncs.Add(1)
	return f.d.freeze(f.name, f.File.Sync())
}

func (f *diskFile) SyncData() error {
	f.d.syncs.Add(1)
	return f.d.freeze(f.name, f.File.SyncData())
}

func (f *diskFile) SyncTo(length int64) (full bool, err error) {
	full, err = f.File.SyncTo(length)
	return full, f.d.freeze(f.name, err)
}

func (f *diskFile) Close() error { return f.d.freeze(f.name, f.File.Close()) }

// freeSpace asks the file system. One that does not know has no end.
func freeSpace(fs vfs.FS, dir string) (int64, error) {
	usage, err := fs.GetDiskUsage(dir)
	switch {
	case errors.Is(err, vfs.ErrUnsupported):
		return math.MaxInt64, nil
	case err != nil:
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(min(usage.AvailBytes, math.MaxInt64)), nil
}
