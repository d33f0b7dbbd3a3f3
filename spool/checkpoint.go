package spool

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Checkpoint makes a copy of the spool as it is now in a directory that does not exist yet, on
// the same file system: tables are linked, not copied. It holds up nothing. Where it fails, nothing
// of it stays, and the spool goes on: it does not wait for space. The copy is a
// spool that Open takes; whatever was acknowledged before is in it. It should be moved away: of
// what is delivered after, it knows nothing.
func (s *Spool) Checkpoint(ctx context.Context, dir string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	if err := s.broken(); err != nil {
		return err
	}
	if err := s.checkpoint(dir); err != nil {
		return fmt.Errorf("checkpoint the spool to %s: %w", dir, err)
	}
	return nil
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
