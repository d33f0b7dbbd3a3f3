package spool

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"postrider/relay"
)

// HistoryOptions say how much is remembered of messages that have left the queue.
type HistoryOptions struct {
	// Keep is how long, from a message's arrival; 0 means DefaultHistoryKeep, less than 0
	// nothing at all.
	Keep time.Duration
	// Size bounds what it takes on disk, in bytes; 0 means DefaultHistorySize. It is held
	// roughly, and a minute late.
	Size int64
}

// The defaults of HistoryOptions.
const (
	DefaultHistoryKeep = 7 * 24 * time.Hour
	DefaultHistorySize = 1 << 30
)

func (o HistoryOptions) on() bool { return o.Keep > 0 }

// historyPause is how often what is too old or too much is dropped. The steps are large,
// because many small ranges are slow to get rid of.
const (
	historyPause = time.Minute
	historyStep  = time.Hour
)

// historyFrom is the arrival before which nothing is remembered.
func (s *Spool) historyFrom() time.Time {
	s.forgotten.mu.Lock()
	defer s.forgotten.mu.Unlock()
	return s.forgotten.until
}

// tendHistory drops what is too old, and then the oldest while there is too much.
func (s *Spool) tendHistory() {
	now := s.o.Now()
	if !s.forgotten.due(now) || s.broken() != nil || s.disk.check() != nil {
		return
	}
	until := time.Time{}
	if s.o.History.on() {
		until = now.Add(-s.o.History.Keep)
		for s.o.History.Size > 0 && s.historySize(until) > s.o.History.Size && until.Before(now) {
			until = until.Add(historyStep)
		}
	} else {
		until = now // what an earlier run has remembered goes too
	}
	if err := s.forget(until.Truncate(historyStep)); err != nil {
		s.o.Fault(relay.Fault{Doing: "drop old history from the spool", Err: err})
	}
}

// historySize is roughly what the history from then on takes on disk.
func (s *Spool) historySize(from time.Time) int64 {
	h, err := s.db.EstimateDiskUsage(idPrefix(spaceHistory, relay.IDAt(from)), after([]byte{spaceHistory}))
	for _, r := range indexRanges(from, time.Time{}) {
		i, err2 := s.db.EstimateDiskUsage(r.lower, r.upper)
		h, err = h+i, errors.Join(err, err2)
	}
	if err != nil {
		s.o.Fault(relay.Fault{Doing: "measure the history", Err: err})
		return 0
	}
	return int64(h)
}

// forget drops the history of messages that arrived before.
func (s *Spool) forget(until time.Time) error {
	if !s.forgotten.raise(until) {
		return nil
	}
	b := s.db.NewBatch()
	err := errors.Join(
		b.DeleteRange([]byte{spaceHistory}, idPrefix(spaceHistory, relay.IDAt(until)), nil),
		b.DeleteRange([]byte{spaceIndex}, dayKey(until), nil),
		b.DeleteRange(partOfIndex(indexByMinute), minuteKey(until), nil))
	if err != nil {
		return errors.Join(err, b.Close())
	}
	if err := s.apply(b, pebble.NoSync); err != nil {
		return fmt.Errorf("before %v: %w", until, err)
	}
	return nil
}
