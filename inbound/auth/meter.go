package auth

import (
	"sync"
	"time"
)

// maxMetered bounds the users whose rates are remembered.
const maxMetered = 20_000

// meter counts what users send. It is in memory: a restart forgets.
type meter struct {
	now func() time.Time

	mu     sync.Mutex
	levels *recent[string, level]
}

func newMeter(now func() time.Time) *meter {
	return &meter{now: now, levels: newRecent[string, level](maxMetered)}
}

// take counts one, or says that the rate has no room for it.
func (m *meter) take(key string, r Rate) bool {
	if r.IsZero() {
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	l, ok := m.levels.get(key)
	if !ok {
		l.at = now
	}
	l = l.drained(r, now)
	if l.full(r) {
		return false
	}
	l.amount++
	m.levels.put(key, l)
	return true
}
