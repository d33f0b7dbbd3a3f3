package spool

import (
	"errors"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"postrider/relay"
)

// Options configure a Spool. Only Dir is needed.
type Options struct {
	// Dir is the directory of the spool, made when it is missing.
	Dir string
	// FS is the file system that Dir is on; nil means the operating system's.
	FS vfs.FS
	// MinFree is how many bytes must stay free on the disk for new mail to be
	// accepted; 0 means 256 MiB, less than 0 means no limit.
	MinFree int64
	// Reserve is the size in bytes of a file that is given up when the disk is nearly
	// full, so that deliveries in the queue can end, and made again when space returns; 0
	// means 64 MiB, less than 0 means none.
	Reserve int64
	// FreeSpace says how many bytes are free; nil means to ask the file system.
	FreeSpace func() (int64, error)
	// Memtable is how many bytes of recent writes are kept in memory. Mail that is
	// delivered before that much new has arrived is never written a second time. As a rule up to
	// twice as much is in use, and three times while a flush lags; 0 means 32 MiB.
	Memtable int64
	// Cache is the size in bytes of the cache of blocks read, beside the memtables; 0 means 16 MiB.
	Cache int64
	// History says how much is remembered of messages that have left the queue.
	History HistoryOptions
	// Fault is told what went wrong and was contained; nil means nobody is. It must not
	// block or call the spool.
	Fault func(relay.Fault)
	// Now is the clock; nil means time.Now.
	Now func() time.Time

	// retry is how long a write waits before it tries a full disk again.
	retry time.Duration
}

// The defaults of Options.
const (
	DefaultMinFree  = 256 << 20
	DefaultReserve  = 64 << 20
	DefaultMemtable = 32 << 20
	DefaultCache    = 16 << 20
)

// withDefaults fills in what was left out and refuses what cannot be.
func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" {
		return o, errors.New("spool: no directory given")
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	o.MinFree = sizeOr(o.MinFree, DefaultMinFree)
	o.Reserve = sizeOr(o.Reserve, DefaultReserve)
	o.Memtable = sizeOr(o.Memtable, DefaultMemtable)
	o.Cache = sizeOr(o.Cache, DefaultCache)
	if o.History.Keep == 0 {
		o.History.Keep = DefaultHistoryKeep
	}
	o.History.Size = sizeOr(o.History.Size, DefaultHistorySize)
	if o.FreeSpace == nil {
		o.FreeSpace = func() (int64, error) { return freeSpace(o.FS, o.Dir) }
	}
	if o.Fault == nil {
		o.Fault = func(relay.Fault) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.retry == 0 {
		o.retry = 250 * time.Millisecond
	}
	return o, nil
}

// sizeOr gives the default for 0, and 0 for less.
func sizeOr(n, byDefault int64) int64 {
	if n == 0 {
		return byDefault
	}
	return max(n, 0)
}
