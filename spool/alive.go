package spool

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Alive returns nil once the spool has read and has made a write of its own durable, in line
// with all other writers. While the disk is full it has nothing to prove: space helps then, a
// new start does not. It is an error when ctx ends first; the write may still be under way then.
func (s *Spool) Alive(ctx context.Context) error {
	if err := s.broken(); err != nil {
		return err
	}
	full := s.disk.filled()
	proved := make(chan error, 1)
	go func() { proved <- s.prove(ctx) }()
	select {
	case err := <-proved:
		return err
	case <-full:
		return nil
	case <-s.failed:
		return s.broken()
	case <-ctx.Done():
		return fmt.Errorf("the spool neither reads nor writes: %w", ctx.Err())
	}
}

func (s *Spool) prove(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	if _, err := s.get(append([]byte{spaceSpool}, "format"...)); err != nil {
		return err
	}
	return s.db.LogData([]byte{recordVersion}, pebble.Sync)
}
