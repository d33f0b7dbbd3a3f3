package spool

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Checkpoint makes a copy of the spool as it is now in a directory that does not exist yet, on
// the same file system: tables are linked, not copied. It holds up nothing. The copy is a
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
	if err := s.db.Checkpoint(dir, pebble.WithFlushedWAL()); err != nil {
		return fmt.Errorf("checkpoint the spool to %s: %w", dir, err)
	}
	return nil
}
