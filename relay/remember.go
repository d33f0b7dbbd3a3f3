package relay

import (
	"context"
	"time"
)

// rememberInterval is how often what changed is remembered for the next start.
const rememberInterval = 5 * time.Second

// notesAtOnce is how many notes are written together.
const notesAtOnce = 256

// The keys of our notes begin with what they are about.
const noteRate = "rate "

// recall takes up what an earlier process remembered. What cannot be read is learned anew.
func (s *Scheduler) recall(ctx context.Context) {
	if s.o.Notes == nil {
		return
	}
	for note, err := range s.o.Notes.Recall(ctx, noteRate) {
		if err != nil {
			s.forgot("recall rates", err)
			return
		}
		s.mu.Lock()
		s.limits.recall(note.Key[len(noteRate):], note.Value)
		s.mu.Unlock()
	}
}

// remember notes what changes, until ctx ends.
func (s *Scheduler) remember(ctx context.Context) {
	if s.o.Notes == nil {
		return
	}
	ticker := time.NewTicker(rememberInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.rememberNow(ctx)
		}
	}
}

// rememberNow notes what has changed since the last time.
func (s *Scheduler) rememberNow(ctx context.Context) {
	if s.o.Notes == nil {
		return
	}
	s.mu.Lock()
	notes := s.limits.changes(s.o.Now())
	s.mu.Unlock()
	for len(notes) > 0 {
		n := min(len(notes), notesAtOnce)
		if err := s.o.Notes.Remember(ctx, notes[:n]...); err != nil && ctx.Err() == nil {
			s.forgot("remember", err)
			return
		}
		notes = notes[n:]
	}
}

func (s *Scheduler) forgot(doing string, err error) {
	if s.work.Err() == nil {
		s.o.Observer.Faulted(Fault{Doing: doing, Err: err})
	}
}
