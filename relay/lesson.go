package relay

import (
	"encoding/json"
	"maps"
	"time"
)

// lesson is what has been learned about a site and outlives its pool and our restart: how many
// connections it takes, how many messages on each, and that it could not be reached.
type lesson struct {
	// Window is the size of the window after the first setback; 0 when there has been none.
	Window float64 `json:"window,omitempty"`
	// PerConnection is after how many messages it ends a connection, 0 when it is not known to, and
	// Since is when that was seen.
	PerConnection int       `json:"per_connection,omitempty"`
	Since         time.Time `json:"since,omitzero"`
	// Connections is how many connections it takes, 0 when that is not known, and ConnectionsAt is
	// when that was seen.
	Connections   int       `json:"connections,omitempty"`
	ConnectionsAt time.Time `json:"connections_at,omitzero"`
	// Failures and Reply are those of a closed gate.
	Failures int       `json:"failures,omitempty"`
	Reply    Reply     `json:"reply,omitzero"`
	At       time.Time `json:"at"`
}

const (
	// lessonAge is how long a lesson is heeded.
	lessonAge = 24 * time.Hour
	// lessonsMost bounds the lessons that are kept; the oldest make room.
	lessonsMost = 4096
	// perConnectionAge is when a site is given the chance to take more messages on a connection.
	perConnectionAge = time.Hour
)

// empty says that there is nothing to remember.
func (l *lesson) empty() bool {
	return l.Window == 0 && l.PerConnection == 0 && l.Connections == 0 && l.Failures == 0
}

// lessons are those of sites, by key. They are guarded by the Scheduler's mu.
type lessons struct {
	all map[string]lesson
	// dirty has the keys of those that have changed since they were remembered.
	dirty map[string]struct{}
}

// learn keeps what a pool has learned.
func (ls *lessons) learn(p *pool, now time.Time) {
	l := p.lesson(now)
	key := p.site.Key
	was, had := ls.all[key]
	if l.empty() && !had || l.same(&was) {
		return
	}
	if l.empty() {
		delete(ls.all, key)
	} else {
		ls.all[key] = l
	}
	ls.dirty[key] = struct{}{}
	if len(ls.all) > lessonsMost {
		ls.forget(now)
	}
}

// same says that two lessons say the same. A window that has moved by less than one is the same.
func (l *lesson) same(o *lesson) bool {
	return int(l.Window) == int(o.Window) && l.PerConnection == o.PerConnection && l.Failures == o.Failures &&
		l.Connections == o.Connections && l.ConnectionsAt.Equal(o.ConnectionsAt)
}

// forget drops the lessons that are old, and of the others the older half where there are too many.
func (ls *lessons) forget(now time.Time) {
	oldest := now.Add(-lessonAge)
	if len(ls.all) > lessonsMost {
		var sum time.Duration
		for _, l := range ls.all {
			sum += now.Sub(l.At) / time.Duration(len(ls.all))
		}
		oldest = later(oldest, now.Add(-sum))
	}
	for key, l := range ls.all {
		if !l.At.After(oldest) {
			delete(ls.all, key)
			ls.dirty[key] = struct{}{}
		}
	}
}

// changes are the notes about the lessons that have changed.
func (ls *lessons) changes() []Note {
	var notes []Note
	for key := range maps.Keys(ls.dirty) {
		n := Note{Key: noteSite + key}
		if l, ok := ls.all[key]; ok {
			n.Value, _ = json.Marshal(l) // nothing in it can fail
		}
		notes = append(notes, n)
	}
	clear(ls.dirty)
	return notes
}

// recall takes a lesson of an earlier process; one that cannot be read is forgotten.
func (ls *lessons) recall(key string, value []byte, now time.Time) {
	var l lesson
	if err := json.Unmarshal(value, &l); err != nil || now.Sub(l.At).Abs() > lessonAge || len(ls.all) >= lessonsMost {
		ls.dirty[key] = struct{}{}
		return
	}
	ls.all[key] = l
}

// lesson is what the pool has learned.
func (p *pool) lesson(now time.Time) lesson {
	l := lesson{PerConnection: p.perConnection, Since: p.perConnectionAt, At: now}
	if l.Connections = p.window.taken; l.Connections > 0 {
		l.ConnectionsAt = p.window.takenAt
	}
	if p.window.steady {
		l.Window = p.window.size
	}
	if !p.gate.open() {
		l.Failures, l.Reply = p.gate.failures+p.gate.before, p.gate.reply
		l.Reply.Err = nil
	}
	return l
}

// heed begins with what was learned before. A closed gate stays closed, but is tried soon: whoever
// restarts us may have mended what was wrong.
func (p *pool) heed(l lesson, now time.Time, chance float64) {
	p.window.taken, p.window.takenAt = l.Connections, l.ConnectionsAt
	if l.Window > 0 {
		p.window.size, p.window.steady = max(1, min(l.Window, p.window.most)), true
	}
	if l.PerConnection > 0 {
		p.perConnection, p.perConnectionAt = l.PerConnection, l.Since
	}
	if l.Failures > 0 {
		first := probeFirst
		if p.site.Smart {
			first = smartProbeFirst
		}
		p.gate = gate{failures: l.Failures, failed: now, until: now.Add(time.Duration(chance * float64(first))), reply: l.Reply}
	}
}

// ended learns from a connection that the site ended after so many messages, in the middle of
// work. Twice the same number in a row is a rule.
func (p *pool) ended(after int, now time.Time) {
	if p.endedAfter == after {
		p.perConnection, p.perConnectionAt = after, now
	}
	p.endedAfter = after
}

// messagesPerConnection is how many messages a connection of the pool is to carry.
func (p *pool) messagesPerConnection(most int, now time.Time) int {
	if p.perConnection > 0 && now.Sub(p.perConnectionAt) > perConnectionAge {
		p.perConnection, p.endedAfter = 0, 0
	}
	if p.perConnection > 0 {
		return min(most, p.perConnection)
	}
	return most
}
