package spool_test

import (
	"context"
	"errors"
	"testing"
)

func TestAlive(t *testing.T) {
	t.Parallel()
	s, q, _ := openFull(t)
	if err := s.Alive(t.Context()); err != nil {
		t.Errorf("a spool that works: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Alive(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("when the time is up: %v, want the context's end", err)
	}
	q.full.Store(true)
	if err := s.Alive(t.Context()); err != nil {
		t.Errorf("with a full disk, which no new start helps: %v", err)
	}
	q.full.Store(false)
	eventually(t, "the disk has space again", func() bool { return s.Admit(0) == nil })
	if err := s.Alive(t.Context()); err != nil {
		t.Errorf("with space again: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Alive(t.Context()); err == nil {
		t.Error("a closed spool is alive")
	}
}
