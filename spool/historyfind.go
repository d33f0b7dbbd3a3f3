package spool

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"postrider/relay"
)

// errQuery refuses a search that no index helps with.
var errQuery = errors.New("a search needs a Message-ID, a sender or a recipient")

// Find yields the messages sought, day by day, the latest first.
func (s *Spool) Find(ctx context.Context, q relay.Query) iter.Seq2[*relay.Life, error] {
	return func(yield func(*relay.Life, error) bool) {
		if err := s.find(ctx, &q, yield); err != nil {
			yield(nil, fmt.Errorf("find messages: %w", err))
		}
	}
}

func (s *Spool) find(ctx context.Context, q *relay.Query, yield func(*relay.Life, error) bool) error {
	property, text := byte(indexMessageID), relay.NormalMessageID(q.MessageID)
	switch {
	case q.MessageID != "":
	case q.Recipient != "":
		property, text = indexRecipient, q.Recipient
	case q.Sender != "":
		property, text = indexSender, q.Sender
	default:
		return errQuery
	}
	first, last, err := s.days(ctx, q)
	if err != nil {
		return err
	}
	for d := int64(last); d >= int64(first); d-- {
		more, err := s.findOn(ctx, q, indexPrefix(uint32(d), property, text), yield)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// days are those that the query is about, among those that are indexed.
func (s *Spool) days(ctx context.Context, q *relay.Query) (first, last uint32, err error) {
	key, err := s.firstFrom(ctx, dayKey(day(s.historyFrom())), after([]byte{spaceIndex}))
	if err != nil {
		return 0, 0, err
	}
	last = day(s.o.Now().Add(24 * time.Hour)) // a clock may have been ahead
	if len(key) < len(dayKey(0)) {
		return 1, 0, nil
	}
	first = dayOf(key)
	if !q.Since.IsZero() {
		first = max(first, day(q.Since))
	}
	if !q.Until.IsZero() {
		last = min(last, day(q.Until))
	}
	return first, last, nil
}

// findOn yields the messages of a day, and says whether more are wanted.
func (s *Spool) findOn(ctx context.Context, q *relay.Query, prefix []byte, yield func(*relay.Life, error) bool) (more bool, err error) {
	upper := after(prefix)
	for {
		page, err := s.keysBefore(ctx, prefix, upper)
		if err != nil {
			return false, err
		}
		for _, key := range page {
			if len(key) != len(prefix)+len(relay.ID{}) {
				continue
			}
			l, err := s.lifeOf(ctx, relay.ID(key[len(prefix):]))
			if errors.Is(err, relay.ErrNotFound) || errors.Is(err, relay.ErrCorrupt) {
				continue // what cannot be read has been reported
			}
			if err != nil {
				return false, err
			}
			if q.Matches(l) && !yield(l, nil) {
				return false, nil
			}
		}
		if len(page) < pageSize {
			return true, nil
		}
		upper = page[len(page)-1]
	}
}

// keysBefore reads the last page of a range, backwards.
func (s *Spool) keysBefore(ctx context.Context, lower, upper []byte) (keys [][]byte, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, corrupt(err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.Last(); ok && len(keys) < pageSize; ok = it.Prev() {
		keys = append(keys, append([]byte(nil), it.Key()...))
	}
	return keys, corrupt(it.Error())
}
