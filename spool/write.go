package spool

import (
	"context"
	"errors"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"postrider/relay"
)

// syncDelay is how long a settled delivery may stay without a sync. Others join meanwhile.
const syncDelay = 10 * time.Millisecond

// apply writes a batch and frees it.
func (s *Spool) apply(b *pebble.Batch, o *pebble.WriteOptions) error {
	if err := s.broken(); err != nil {
		return errors.Join(err, b.Close())
	}
	if o.Sync {
		// Before the batch, so that a write that comes meanwhile sets it again: it may
		// or may not be covered by this sync.
		s.unsynced.Store(false)
	}
	if err := s.db.Apply(b, o); err != nil {
		return err
	}
	// Pebble says nil here after it has called Fatalf.
	if err := s.broken(); err != nil {
		return err
	}
	if !o.Sync {
		s.removed.Store(true)
		s.markUnsynced()
	}
	return b.Close()
}

func (s *Spool) markUnsynced() {
	if s.unsynced.Swap(true) {
		return
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// write applies a batch on behalf of a client, who is not kept waiting by a full disk.
// Where it gives up on a batch, the batch may land all the same once there is space, and
// late is called with what became of it.
func (s *Spool) write(ctx context.Context, b *pebble.Batch, o *pebble.WriteOptions, late func(error)) (abandoned bool, err error) {
	full := s.disk.filled()
	if err := s.disk.check(); err != nil {
		return false, errors.Join(err, b.Close())
	}
	if err := s.enter(ctx); err != nil {
		return false, errors.Join(err, b.Close())
	}
	defer s.leave()
	return s.applyUnless(context.Background(), full, b, o, late)
}

// applyUnless applies a batch, and gives up on it when the disk is full, if the caller
// minds or its context has ended, or the spool fails. The caller is inside enter.
func (s *Spool) applyUnless(ctx context.Context, full <-chan struct{}, b *pebble.Batch, o *pebble.WriteOptions, late func(error)) (abandoned bool, err error) {
	return s.unless(ctx, full, func() error { return s.apply(b, o) }, late)
}

// unless does what writes, and gives up on it as applyUnless does. It goes on then, and late is
// called with what became of it.
func (s *Spool) unless(ctx context.Context, full <-chan struct{}, do func() error, late func(error)) (abandoned bool, err error) {
	result := make(chan error)
	given := make(chan struct{})
	s.using.Go(func() {
		err := do()
		select {
		case result <- err:
		case <-given:
			late(err)
		}
	})
	if full == nil {
		select {
		case err := <-result:
			return false, err
		case <-s.failed:
		case <-ctx.Done(): // a disk that is well answers all the same
			full = s.disk.filled()
		}
	}
	select {
	case err := <-result:
		return false, err
	case <-full:
		err = errors.Join(relay.StorageFull(errFull), ctx.Err())
	case <-s.failed:
		err = s.broken()
	}
	close(given)
	return true, err
}

// background makes durable what was written without a sync, and minds the disk.
func (s *Spool) background() {
	defer close(s.ended)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
			s.keepReserve()
			s.tendHistory()
		case <-s.wake:
			select {
			case <-s.stop:
				return
			case <-time.After(syncDelay):
			}
			s.sync()
		}
	}
}

// sync makes durable what was written before, unless another write has done so.
func (s *Spool) sync() {
	if s.broken() != nil || !s.unsynced.Swap(false) {
		return
	}
	if err := s.db.LogData([]byte{recordVersion}, pebble.Sync); err != nil {
		s.o.Fault(relay.Fault{Doing: "sync the spool", Err: err})
	}
}

func (s *Spool) keepReserve() {
	free, err := s.o.FreeSpace()
	if err != nil {
		s.o.Fault(relay.Fault{Doing: "ask for the free space of the spool's disk", Err: err})
		return
	}
	s.disk.reserve.keep(free, s.o.MinFree)
	s.reclaim(free)
}

// Admit refuses new mail while less than MinFree bytes would be left.
func (s *Spool) Admit(size int64) error {
	if err := s.broken(); err != nil {
		return relay.LocalError(err)
	}
	if err := s.disk.check(); err != nil {
		return err
	}
	free, err := s.space.left(s.o.Now(), s.disk.written.Load(), s.o.MinFree+size, s.o.FreeSpace)
	if err != nil {
		return relay.LocalError(err)
	}
	if free-size < s.o.MinFree {
		return relay.StorageFull(nil)
	}
	return nil
}
