package spool

import (
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Keys gives the keys of a space, for tests.
func (s *Spool) Keys(space byte) ([][]byte, error) {
	return s.keys([]byte{space}, after([]byte{space}))
}

// Overwrite replaces a record, as a fault of ours or the disk's would.
func (s *Spool) Overwrite(key, value []byte) error { return s.db.Set(key, value, pebble.Sync) }

// Flush writes what is in memory to tables.
func (s *Spool) Flush() error { return s.db.Flush() }

// Metrics are Pebble's.
func (s *Spool) Metrics() *pebble.Metrics { return s.db.Metrics() }

// RetryEvery sets how long a write waits before it tries a full disk again.
func (o Options) RetryEvery(d time.Duration) Options {
	o.retry = d
	return o
}

// Value gives a record as it lies.
func (s *Spool) Value(key []byte) ([]byte, error) { return s.get(key) }

// TendHistory drops what is too old or too much, as the background does now and then.
func (s *Spool) TendHistory() {
	s.forgotten.mu.Lock()
	s.forgotten.next = time.Time{}
	s.forgotten.mu.Unlock()
	s.tendHistory()
}

// Erase removes a record, as a fault of ours or the disk's would.
func (s *Spool) Erase(key []byte) error { return s.db.Delete(key, pebble.Sync) }

// Discard removes a directory, as an operator would.
func (s *Spool) Discard(dir string) error { return s.o.FS.RemoveAll(dir) }

// Cursors counts the iterators that rest.
func (s *Spool) Cursors() int {
	n := 0
	for _, c := range []*cursors{&s.records, &s.bodies} {
		c.mu.Lock()
		n += len(c.rest)
		c.mu.Unlock()
	}
	return n
}

// Tables gives the first and the last key of each table.
func (s *Spool) Tables() ([][2][]byte, error) {
	levels, err := s.db.SSTables()
	if err != nil {
		return nil, err
	}
	var bounds [][2][]byte
	for _, level := range levels {
		for _, t := range level {
			bounds = append(bounds, [2][]byte{t.Smallest.UserKey, t.Largest.UserKey})
		}
	}
	return bounds, nil
}
