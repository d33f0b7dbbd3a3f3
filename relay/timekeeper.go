package relay

import (
	"context"
	"time"
)

// keepTime attends to bins, pools and lines when their time has come.
func (s *Scheduler) keepTime(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var asked chan<- struct{}
		select {
		case <-ctx.Done():
			return
		case <-s.poke:
		case <-timer.C:
		case asked = <-s.probes:
		}
		wait := s.ring()
		timer.Reset(wait)
		if asked != nil {
			close(asked)
		}
	}
}

// ring attends to all that is due and says how long nothing else will be.
func (s *Scheduler) ring() time.Duration {
	const longest = time.Minute
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.o.Now()
	for a := s.binAlarms.due(now); a != nil; a = s.binAlarms.due(now) {
		s.advance(a.value)
	}
	for a := s.poolAlarms.due(now); a != nil; a = s.poolAlarms.due(now) {
		s.attend(a.value)
	}
	for a := s.limits.alarms.due(now); a != nil; a = s.limits.alarms.due(now) {
		s.letOn(a.value, now)
	}
	wait := longest
	if a := s.binAlarms.first(); a != nil {
		wait = min(wait, a.at.Sub(now))
	}
	if a := s.poolAlarms.first(); a != nil {
		wait = min(wait, a.at.Sub(now))
	}
	if a := s.limits.alarms.first(); a != nil {
		wait = min(wait, a.at.Sub(now))
	}
	wait = max(wait, 0)
	s.asleep = now.Add(wait)
	return wait
}

// wakeTimer pokes the timer loop if it would sleep for longer.
func (s *Scheduler) wakeTimer(at time.Time) {
	if at.IsZero() || !at.Before(s.asleep) {
		return
	}
	select {
	case s.poke <- struct{}{}:
	default:
	}
}
