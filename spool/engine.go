package spool

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"postrider/relay"
)

// memtables is how many are in memory as a rule: the one that is written to, and the one that is being
// flushed or waits to be used again. While a flush lags there is one more, and the cache gives way to it.
const memtables = 2

// freshBlock is the size in bytes of blocks of what is flushed from memory: the blob files, in which
// bodies are, and the tables of level 0. Mail is read in about the order in which it came, so that a
// block serves the messages after it as well. Further down the blocks are of Pebble's usual 4 KiB: what
// lies there is read here and there, and what a bad one takes with it is less.
const (
	freshBlock = 16 << 10
	usualBlock = 4 << 10
)

// mergeThreshold is twice the number of layers of overlapping fresh tables with which Pebble begins to merge them. Only
// the index and the queue have tables that overlap, and each merge writes all of the latest minute of the index again:
// with Pebble's own 4 that is done after every other flush. To find a message takes half as long again.
const mergeThreshold = 8

// manifestShare is how large the manifest, Pebble's journal of which tables there are, may grow before it
// begins anew, as a share of a memtable. A busy spool adds some hundred bytes for every flush and
// compaction, for as long as it runs, and each start reads them all; Pebble's own bound is 128 MB.
const manifestShare = 8

// pebbleOptions are what we ask of Pebble. The format is named, because the default is
// the oldest one, which cannot keep values apart from keys.
//
// Pebble takes the memory of its memtables out of what its cache may use, and caches nothing
// at all when they need more, so the cache is asked for with that much on top.
//
// Compression is Pebble's own choice, which is snappy for what is freshly written. Of mail that
// stays it takes text down to 0.4 of its size for a few percent of processor time, leaves base64 as
// it is, and never sees mail that is delivered at once.
func (s *Spool) pebbleOptions(lock *pebble.Lock) *pebble.Options {
	o := &pebble.Options{
		FS:                          s.disk,
		Lock:                        lock,
		FormatMajorVersion:          pebble.FormatValueSeparation,
		CacheSize:                   s.o.Cache + memtables*s.o.Memtable,
		MemTableSize:                uint64(s.o.Memtable),
		MemTableStopWritesThreshold: 3,
		L0CompactionThreshold:       mergeThreshold,
		MaxManifestFileSize:         s.o.Memtable / manifestShare,
		Logger:                      logger{s},
		EventListener:               s.listener(),
	}
	o.Levels[0].BlockSize = freshBlock
	for i := range o.Levels[1:] {
		o.Levels[1+i].BlockSize, o.Levels[1+i].IndexBlockSize = usualBlock, usualBlock
	}
	o.Experimental.SpanPolicyFunc = spaceByItself
	o.Experimental.ValueSeparationPolicy = func() pebble.ValueSeparationPolicy {
		return pebble.ValueSeparationPolicy{
			Enabled:               true,
			MinimumSize:           1 << 10,
			MaxBlobReferenceDepth: 10,
			RewriteMinimumAge:     5 * time.Minute,
			TargetGarbageRatio:    0.5,
		}
	}
	return o
}

// spaceByItself has no table reach from one space of keys into another. All spaces but the index grow
// at their end and shrink at their head, so that a compaction rewrites little of them; a table that
// spanned the index would have all of that rewritten with it.
func spaceByItself(key []byte) (policy pebble.SpanPolicy, end []byte, err error) {
	return policy, after(key[:1]), nil
}

func (s *Spool) listener() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			s.disk.troubled.Store(true)
			s.disk.note(&s.disk.failing, true)
			s.o.Fault(relay.Fault{Doing: "flush or compact the spool", Err: err})
		},
		FlushEnd: func(info pebble.FlushInfo) {
			if info.Err == nil {
				s.disk.note(&s.disk.failing, false)
			}
		},
		CompactionEnd: func(info pebble.CompactionInfo) {
			if info.Err == nil {
				s.disk.note(&s.disk.failing, false)
			}
		},
		WriteStallBegin: func(pebble.WriteStallBeginInfo) { s.disk.note(&s.disk.stalled, true) },
		WriteStallEnd:   func() { s.disk.note(&s.disk.stalled, false) },
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			if !s.told.first(info.Path) {
				return
			}
			s.o.Fault(relay.Fault{Doing: "read the spool", Err: fmt.Errorf("%w: %s", relay.ErrCorrupt, info)})
		},
		PossibleAPIMisuse: func(info pebble.PossibleAPIMisuseInfo) {
			s.o.Fault(relay.Fault{Doing: "remove a record of the spool", Err: errors.New(info.String())})
		},
	}
}

// logger hears from Pebble. What it has to say that matters comes as an event, save for
// the end of it all.
type logger struct{ s *Spool }

// Infof says nothing.
func (logger) Infof(string, ...any) {}

// Errorf reports a fault.
func (l logger) Errorf(format string, args ...any) {
	l.s.o.Fault(relay.Fault{Doing: "run the spool's database", Err: fmt.Errorf(format, args...)})
}

// Fatalf is called where Pebble cannot go on, and is expected not to return. Failed writes
// do not get here (see disk.freeze), so what does is a fault in the database itself. Fatalf
// returns, because ending the process is for others to decide, and that is safe because
// the failure is noted first: nothing is written after it, and Pebble's Apply, which
// returns nil after a Fatalf, is not believed (see apply).
func (l logger) Fatalf(format string, args ...any) {
	l.s.fail(fmt.Errorf(format, args...))
}
