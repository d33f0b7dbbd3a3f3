package spool

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"postrider/relay"
)

// formatVersion is that of the keyspace and of the records. A spool of a newer version is
// not touched, and one of an older version becomes one of this.
const formatVersion = 3

// Spool is relay.Spool on Pebble.
type Spool struct {
	o     Options
	codec codec
	ids   *relay.IDs
	disk  *disk
	lock  *pebble.Lock
	db    *pebble.DB

	claims   claims
	bins     bins
	messages messageLocks
	// noting is held while notes are written.
	noting   chan struct{}
	arrivals head
	located  head

	// records and bodies read messages that are about to leave.
	records, bodies cursors

	forgotten forgotten
	told      told
	space     space

	// using counts what uses db, and closed forbids more of it.
	using  sync.WaitGroup
	life   sync.Mutex
	closed bool

	failOnce sync.Once
	failure  error
	failed   chan struct{}

	// unsynced is set while the log has writes that no sync has followed, and wake tells
	// the background of the first.
	unsynced atomic.Bool
	wake     chan struct{}
	stop     chan struct{}
	// ended and released are closed as the background ends, and what closes cursors.
	ended, released chan struct{}

	// removed is set while there may be bodies that have been removed and still take space.
	removed    atomic.Bool
	reclaiming atomic.Bool
	reclaims   sync.WaitGroup
	// copying is set while a checkpoint is made.
	copying atomic.Bool
	// untilStop ends when Close stops the background.
	untilStop context.Context
	cancel    context.CancelFunc
}

var _ relay.Spool = (*Spool)(nil)

// errClosed is the answer to whatever comes after Close.
var errClosed = errors.New("the spool is closed")

// Open opens the spool in o.Dir, and makes it when there is none. One process at a time
// can have it open.
func Open(o Options) (*Spool, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Spool{
		o:      o,
		ids:    relay.NewIDs(o.Now, rand.Reader),
		noting: make(chan struct{}, 1),
		failed: make(chan struct{}),
		wake:   make(chan struct{}, 1),
		stop:   make(chan struct{}),
		ended:  make(chan struct{}),

		released: make(chan struct{}),
	}
	s.removed.Store(true)
	s.untilStop, s.cancel = context.WithCancel(context.Background())
	s.disk = newDisk(&o, s.fail)
	s.claims.init()
	s.records.space, s.bodies.space = spaceMessage, spaceBody
	s.bins.init()
	s.messages.init()
	s.arrivals.first = string(messageKey(relay.ID{}))
	s.located.first = string(idPrefix(spaceDelivery, relay.ID{}))
	if s.codec, err = newCodec(); err != nil {
		return nil, err
	}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("open the spool in %s: %w", o.Dir, err)
	}
	s.disk.open.Store(true)
	go s.background()
	go s.letGo()
	return s, nil
}

// errInUse explains a directory that is locked.
var errInUse = errors.New("in use by another process; one spool serves one process")

func (s *Spool) open() error {
	// Mail is nobody's business but ours: Pebble would make the directory readable for all.
	if err := s.o.FS.MkdirAll(s.o.Dir, 0o700); err != nil {
		return err
	}
	lock, err := pebble.LockDirectory(s.o.Dir, s.o.FS)
	if err != nil {
		if errors.Is(err, syscall.EAGAIN) {
			return fmt.Errorf("%w (%w)", errInUse, err)
		}
		return fmt.Errorf("lock the directory: %w", err)
	}
	s.lock = lock
	if err := s.openDB(); err != nil {
		return errors.Join(err, lock.Close())
	}
	return nil
}

// openDB opens the database. Pebble panics where it cannot tell whether a step of its own
// has reached the disk; while it opens that is an error like any other, for nothing
// has been promised yet.
func (s *Spool) openDB() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("database: %v", r)
		}
	}()
	db, err := pebble.Open(s.o.Dir, s.pebbleOptions(s.lock))
	if err != nil {
		return err
	}
	s.db = db
	if err := s.prepare(); err != nil {
		return errors.Join(err, db.Close())
	}
	return nil
}

// prepare checks the format and clears away what a crash has left.
func (s *Spool) prepare() error {
	if err := s.checkFormat(); err != nil {
		return err
	}
	if err := s.collectDrafts(); err != nil {
		return err
	}
	s.keepReserve()
	return nil
}

func (s *Spool) checkFormat() error {
	key := append([]byte{spaceSpool}, "format"...)
	value, err := s.get(key)
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		return s.db.Set(key, []byte{formatVersion}, pebble.Sync)
	case err != nil:
		return err
	case len(value) != 1 || value[0] == 0:
		return fmt.Errorf("%w: format %x", relay.ErrCorrupt, value)
	case value[0] > formatVersion:
		return fmt.Errorf("its format %d is newer than %d, the newest that this program knows", value[0], formatVersion)
	case value[0] < formatVersion:
		return s.db.Set(key, []byte{formatVersion}, pebble.Sync)
	}
	return nil
}

// Close ends the spool: it waits for what is under way and makes all of it durable. While
// the disk is full, or where the spool has failed, that cannot be waited for, and Close
// leaves everything to the end of the process and the next start.
func (s *Spool) Close() error {
	if err := s.close(); err != nil {
		return fmt.Errorf("close the spool in %s: %w", s.o.Dir, err)
	}
	return nil
}

func (s *Spool) close() error {
	if err := cmp.Or(s.broken(), s.disk.check()); err != nil {
		return err
	}
	full := s.disk.filled()
	s.life.Lock()
	was := s.closed
	s.closed = true
	s.life.Unlock()
	if was {
		return nil
	}
	ended := make(chan error, 1)
	go func() { ended <- s.end() }()
	select {
	case err := <-ended:
		return err
	case <-full:
		return relay.StorageFull(errFull)
	case <-s.failed:
		return s.broken()
	}
}

// end waits for what is under way and closes the database.
func (s *Spool) end() error {
	s.using.Wait()
	close(s.stop)
	<-s.ended
	<-s.released
	s.cancel()
	s.reclaims.Wait()
	var err error
	if s.unsynced.Load() {
		err = s.db.LogData([]byte{recordVersion}, pebble.Sync)
	}
	close(s.disk.stop)
	s.tendCursors(time.Now().Add(cursorAge))
	return errors.Join(err, s.db.Close(), s.lock.Close())
}

// Failed is closed when the spool can no longer write and only a new start helps.
func (s *Spool) Failed() <-chan struct{} { return s.failed }

// fail notes that nothing can be written any more.
func (s *Spool) fail(err error) {
	s.failOnce.Do(func() {
		s.failure = err
		close(s.failed)
		s.o.Fault(relay.Fault{Doing: "write to the spool, which is out of order until the next start", Err: err})
	})
}

// broken returns why nothing can be written any more.
func (s *Spool) broken() error {
	select {
	case <-s.failed:
		return fmt.Errorf("the spool is out of order: %w", s.failure)
	default:
		return nil
	}
}

// enter begins a use of the database, which leave ends.
func (s *Spool) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return errClosed
	}
	s.using.Add(1)
	return nil
}

func (s *Spool) leave() { s.using.Done() }

// get returns a copy of a value.
func (s *Spool) get(key []byte) ([]byte, error) { return s.appendValue(nil, key) }

// appendValue appends a value to buf. The value is not held on to: it would keep the
// memtable or block that it is in from being freed.
func (s *Spool) appendValue(buf, key []byte) ([]byte, error) {
	value, closer, err := s.db.Get(key)
	if err != nil {
		return nil, corrupt(err)
	}
	return append(buf, value...), closer.Close()
}

// corrupt marks the errors that say that the disk gave back other bytes than it was given.
func corrupt(err error) error {
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: %w", relay.ErrCorrupt, err)
	}
	return err
}
