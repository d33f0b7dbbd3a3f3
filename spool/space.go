package spool

import (
	"sync"
	"time"
)

// space remembers how much of the disk is free, because asking for every message costs more than
// the answer changes. What the spool has written since is taken off; what others write in the
// meantime is what Options.MinFree has room for.
type space struct {
	mu sync.Mutex
	// free was left at the time, when so much had been written.
	free    int64
	at      time.Time
	written int64
}

// How long, and for how many bytes of ours, an answer stands.
const (
	spaceAge   = 100 * time.Millisecond
	spaceBytes = 16 << 20
)

// left gives the free bytes now, when so many have been written, and asks where it does not know. An
// answer that is refused by is always a new one: limit is what must be left.
func (s *space) left(now time.Time, written int64, limit int64, ask func() (int64, error)) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	age, more := now.Sub(s.at), written-s.written
	if !s.at.IsZero() && age >= 0 && age < spaceAge && more < spaceBytes && s.free-more >= limit {
		return s.free - more, nil
	}
	free, err := ask()
	if err != nil {
		s.at = time.Time{}
		return 0, err
	}
	s.free, s.at, s.written = free, now, written
	return free, nil
}
