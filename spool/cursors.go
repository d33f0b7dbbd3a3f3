package spool

import (
	"bytes"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"postrider/relay"
)

const (
	// cursorAge is how long a cursor is used. It keeps the tables and memtables of its time.
	cursorAge = 250 * time.Millisecond
	// cursorsKept is how many cursors of a space rest at most.
	cursorsKept = 8
	// waited is how long a message has been there before a cursor is made for it: one that is
	// newer is in memory, and later than the cursors that there are.
	waited = time.Second
)

// cursors read records of one space that are written once. A queue leaves in about the order in which
// it came, so that a record is near the one read before, and an iterator that stands there finds it for
// less than a search from the top through all tables.
//
// A cursor does not see what has changed since it was made. What it does not find is looked for
// otherwise; what it does find may have been removed since, which the caller has to bear.
type cursors struct {
	space byte
	mu    sync.Mutex
	rest  []*cursor
}

// cursor is an iterator and the last key it was asked for.
type cursor struct {
	it   *pebble.Iterator
	at   []byte
	made time.Time
}

// near appends the value of a key of the message or body to buf; false means that it is to be looked for
// otherwise.
func (c *cursors) near(s *Spool, id relay.ID, key, buf []byte) ([]byte, bool) {
	if s.o.Now().Sub(id.Time()) < waited {
		return buf, false
	}
	r := c.take(key, time.Now())
	if r == nil {
		if r = c.open(s.db); r == nil {
			return buf, false
		}
	}
	r.at = append(r.at[:0], key...)
	if !r.it.SeekGE(key) || !bytes.Equal(r.it.Key(), key) {
		r.it.Close() // an error comes again to who looks for it otherwise
		return buf, false
	}
	value, err := r.it.ValueAndErr()
	if err != nil {
		r.it.Close()
		return buf, false
	}
	buf = append(buf, value...)
	c.put(s, r)
	return buf, true
}

func (c *cursors) open(db *pebble.DB) *cursor {
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{c.space}, UpperBound: after([]byte{c.space})})
	if err != nil {
		return nil
	}
	return &cursor{it: it, made: time.Now()}
}

// take gives the cursor that stands closest before the key, or else any, or nil.
func (c *cursors) take(key []byte, now time.Time) *cursor {
	c.tend(now)
	c.mu.Lock()
	defer c.mu.Unlock()
	best := -1
	for i, r := range c.rest {
		if best < 0 || closer(r.at, c.rest[best].at, key) {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	r := c.rest[best]
	last := len(c.rest) - 1
	c.rest[best], c.rest[last] = c.rest[last], nil
	c.rest = c.rest[:last]
	return r
}

// closer says whether a is closer before the key than b, where any place before it is closer than any after.
func closer(a, b, key []byte) bool {
	if bytes.Compare(a, key) > 0 {
		return false
	}
	return bytes.Compare(b, key) > 0 || bytes.Compare(a, b) > 0
}

// put lets a cursor rest, or closes it where there are enough, or where space is wanted.
func (c *cursors) put(s *Spool, r *cursor) {
	wanted := s.disk.check() == nil
	c.mu.Lock()
	kept := wanted && len(c.rest) < cursorsKept
	if kept {
		c.rest = append(c.rest, r)
	}
	c.mu.Unlock()
	if !kept {
		r.it.Close()
	}
}

// tend closes the cursors that have become too old.
func (c *cursors) tend(now time.Time) {
	var old []*cursor
	c.mu.Lock()
	kept := c.rest[:0]
	for _, r := range c.rest {
		if now.Sub(r.made) < cursorAge {
			kept = append(kept, r)
		} else {
			old = append(old, r)
		}
	}
	clear(c.rest[len(kept):])
	c.rest = kept
	c.mu.Unlock()
	for _, r := range old {
		r.it.Close()
	}
}

// letGo closes cursors that rest for too long. It waits for nothing else: on a full disk it is they
// that keep what a compaction has made superfluous.
func (s *Spool) letGo() {
	defer close(s.released)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
			s.tendCursors(time.Now())
		}
	}
}

func (s *Spool) tendCursors(now time.Time) {
	s.records.tend(now)
	s.bodies.tend(now)
}
