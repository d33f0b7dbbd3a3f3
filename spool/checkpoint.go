package spool

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"postrider/relay"
)

var (
	errCopying = errors.New("another checkpoint is being made")
	errInside  = errors.New("the directory is the spool's own")
)

// Checkpoint makes a copy of the spool as it is now in a directory that does not exist yet, on
// the same file system: tables are linked, not copied. It holds up nothing. Where it fails, nothing
// of it stays, and the spool goes on: it does not wait for space, and is refused with 452 while the
// disk of the spool is full. One is made at a time. The copy is a
// spool that Open takes; whatever was acknowledged before is in it. It should be moved away: of
// what is delivered after, it knows nothing.
func (s *Spool) Checkpoint(ctx context.Context, dir string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	if err := s.copyTo(dir); err != nil {
		return fmt.Errorf("checkpoint the spool to %s: %w", dir, err)
	}
	return nil
}

func (s *Spool) copyTo(dir string) error {
	full := s.disk.filled()
	if err := cmp.Or(s.broken(), s.disk.check()); err != nil {
		return err
	}
	if s.disk.holds(dir) {
		return errInside
	}
	if !s.copying.CompareAndSwap(false, true) {
		return errCopying
	}
	abandoned, err := s.unless(context.Background(), full, func() error { return s.checkpoint(dir) }, func(err error) {
		s.dropCopy(dir, err)
		s.copying.Store(false)
	})
	if !abandoned {
		s.copying.Store(false)
	}
	return err
}

// dropCopy removes a copy that was made when nobody waited for it any more. One that has failed
// has left nothing.
func (s *Spool) dropCopy(dir string, err error) {
	if err != nil {
		return
	}
	if err := s.o.FS.RemoveAll(dir); err != nil {
		s.o.Fault(relay.Fault{Doing: "remove the checkpoint " + dir + ", which was given up while the disk was full", Err: err})
	}
}

// checkpoint survives that Pebble panics where it cannot sync the directory of the copy. It holds
// no lock then, and what it has begun is in nobody's way but the next checkpoint's.
func (s *Spool) checkpoint(dir string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.Join(fmt.Errorf("database: %v", r), s.o.FS.RemoveAll(dir))
		}
	}()
	return s.db.Checkpoint(dir, pebble.WithFlushedWAL())
}
