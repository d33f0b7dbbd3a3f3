package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/cockroachdb/pebble/v2"

	"postrider/relay"
)

var _ relay.Notes = (*Spool)(nil)

func noteKey(key string) []byte { return append([]byte{spaceNote}, key...) }

// Remember keeps notes in one batch, which the next sync makes durable.
func (s *Spool) Remember(ctx context.Context, notes ...relay.Note) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	b := s.db.NewBatch()
	var err error
	for _, n := range notes {
		// A note is written over and over, so this is no place for SingleDelete.
		if len(n.Value) == 0 {
			err = errors.Join(err, b.Delete(noteKey(n.Key), nil))
		} else {
			err = errors.Join(err, b.Set(noteKey(n.Key), n.Value, nil))
		}
	}
	if err != nil {
		return errors.Join(err, b.Close())
	}
	// Who takes notes does not wait for a disk that is full.
	_, err = s.applyUnless(ctx, s.disk.filled(), b, pebble.NoSync, func(error) {})
	if err != nil {
		return fmt.Errorf("remember: %w", err)
	}
	return nil
}

// Recall yields notes by pages; what is remembered meanwhile may be among them or not.
func (s *Spool) Recall(ctx context.Context, prefix string) iter.Seq2[relay.Note, error] {
	return func(yield func(relay.Note, error) bool) {
		next, end := noteKey(prefix), after(noteKey(prefix))
		for {
			page, err := s.pairs(ctx, next, end)
			if err != nil {
				yield(relay.Note{}, fmt.Errorf("recall: %w", err))
				return
			}
			for _, p := range page {
				if !yield(relay.Note{Key: string(p.key[1:]), Value: p.value}, nil) {
					return
				}
			}
			if len(page) < pageSize {
				return
			}
			next = append(page[len(page)-1].key, 0)
		}
	}
}

// pair is a record with its key.
type pair struct{ key, value []byte }

// pairs reads the next page of a range.
func (s *Spool) pairs(ctx context.Context, lower, upper []byte) (page []pair, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, corrupt(err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok && len(page) < pageSize; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, corrupt(err)
		}
		page = append(page, pair{bytes.Clone(it.Key()), bytes.Clone(value)})
	}
	return page, corrupt(it.Error())
}
