package spool

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"github.com/cockroachdb/pebble/v2"

	"postrider/relay"
)

// errQuery refuses a search that no index helps with.
var errQuery = errors.New("a search needs a Message-ID, a sender or a recipient")

// Find yields the messages sought, minute by minute of their arrival, the latest first.
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
	since := q.Since
	if from := s.historyFrom(); since.Before(from) {
		since = from
	}
	for _, r := range indexRangesAround(since, q.Until) {
		more, err := s.findIn(ctx, q, r, indexHash(property, text), yield)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// findIn yields the messages of a range of the index, and says whether more are wanted. What the disk does not
// give back is passed over in steps that grow, for each try takes long; it has been reported.
func (s *Spool) findIn(ctx context.Context, q *relay.Query, r indexRange, hash uint64, yield func(*relay.Life, error) bool) (more bool, err error) {
	skip := int64(0)
	for r.upper != nil && bytes.Compare(r.lower, r.upper) < 0 {
		page, next, err := s.indexed(ctx, r, hash)
		switch {
		case errors.Is(err, relay.ErrCorrupt):
			skip = max(1, 2*skip)
			next = partsBefore(r.upper, skip, s.o.Now())
		case err != nil:
			return false, err
		default:
			skip = 0
		}
		r.upper = next
		for _, id := range page {
			l, err := s.lifeOf(ctx, id)
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
	}
	return true, nil
}

// indexSteps is how many parts of the index are looked at in one sweep.
const indexSteps = 500

// indexed reads messages with the hash from a range, backwards, from one part of the index to the one before
// that has anything. Next is where to go on, nil at the end. Where the disk does not give back a key, the page ends
// with the part before it; ErrCorrupt says that it is the range's last.
func (s *Spool) indexed(ctx context.Context, r indexRange, hash uint64) (ids []relay.ID, next []byte, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, nil, err
	}
	defer s.leave()
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: r.lower, UpperBound: r.upper})
	if err != nil {
		return nil, nil, corrupt(err)
	}
	defer it.Close() // its error is that of Error
	for ok, step := it.Last(), 0; ok; step++ {
		next = append([]byte(nil), it.Key()[:min(indexPart, len(it.Key()))]...)
		if step == indexSteps {
			return ids, after(next), nil
		}
		prefix := binary.BigEndian.AppendUint64(next[:len(next):len(next)], hash)
		for ok = it.SeekLT(after(prefix)); ok && bytes.HasPrefix(it.Key(), prefix); ok = it.Prev() {
			if len(ids) == pageSize {
				return ids, append(it.Key()[:len(it.Key()):len(it.Key())], 0), nil
			}
			if len(it.Key()) == indexSize {
				ids = append(ids, relay.ID(it.Key()[len(prefix):]))
			}
		}
		if ok && bytes.HasPrefix(it.Key(), next) {
			ok = it.SeekLT(next)
		}
	}
	err = corrupt(it.Error())
	switch {
	case err == nil:
		return ids, nil, nil
	case next != nil && errors.Is(err, relay.ErrCorrupt):
		return ids, next, nil
	}
	return nil, nil, err
}
