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
const (
	noteRate = "rate "
	noteSite = "site "
)

// recall takes up what an earlier process remembered. What cannot be read is learned anew.
func (s *Scheduler) recall(ctx context.Context) {
	if s.o.Notes == nil {
		return
	}
	now := s.o.Now()
	mark, err := MarkOf(ctx, s.o.Notes)
	if err != nil {
		s.forgot("recall when we ran last", err)
	}
	s.mu.Lock()
	s.marks.resume(mark, now)
	s.mu.Unlock()
	s.recallEach(ctx, noteRate, s.limits.recall)
	s.recallEach(ctx, noteSite, func(key string, value []byte) { s.lessons.recall(key, value, now) })
}

func (s *Scheduler) recallEach(ctx context.Context, prefix string, take func(name string, value []byte)) {
	for note, err := range s.o.Notes.Recall(ctx, prefix) {
		if err != nil {
			s.forgot("recall what was learned", err)
			return
		}
		s.mu.Lock()
		take(note.Key[len(prefix):], note.Value)
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
	now := s.o.Now()
	notes := append(s.limits.changes(now), s.marks.note(now)...)
	for _, p := range s.pools {
		s.lessons.learn(p, now)
	}
	notes = append(notes, s.lessons.changes()...)
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
