package spool

import (
	"sync"
	"time"
)

// forgotten is the moment up to which history has been dropped.
type forgotten struct {
	mu    sync.Mutex
	until time.Time
	next  time.Time
}

// due says whether it is time to look again.
func (f *forgotten) due(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Before(f.next) && f.next.Sub(now) <= historyPause {
		return false
	}
	f.next = now.Add(historyPause)
	return true
}

// raise moves the moment, and says whether it did: what is forgotten is not forgotten again.
func (f *forgotten) raise(until time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !until.After(f.until) {
		return false
	}
	f.until = until
	return true
}
