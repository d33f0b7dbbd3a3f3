package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"postrider/relay"
)

var _ relay.Notes = (*Spool)(nil)

func noteKey(key string) []byte { return append([]byte{spaceNote}, key...) }

// Remember keeps notes in one batch, which the next sync makes durable. Who takes notes does not wait
// for a disk that is full: it is told that they are refused, and they are. Where the disk fills up
// in the middle, what was there before is there again once there is space.
func (s *Spool) Remember(ctx context.Context, notes ...relay.Note) error {
	if err := s.remember(ctx, notes); err != nil {
		return fmt.Errorf("remember: %w", err)
	}
	return nil
}

func (s *Spool) remember(ctx context.Context, notes []relay.Note) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	full := s.disk.filled()
	if err := s.disk.check(); err != nil {
		return err
	}
	// One at a time, so that what is taken back is the latest.
	select {
	case s.noting <- struct{}{}:
	case <-full:
		return relay.StorageFull(errFull)
	case <-ctx.Done():
		return ctx.Err()
	}
	unlock := sync.OnceFunc(func() { <-s.noting })
	b, before, err := s.noteBatches(notes)
	if err != nil {
		unlock()
		return errors.Join(err, b.Close(), before.Close())
	}
	abandoned, err := s.applyUnless(ctx, full, b, pebble.NoSync, func(err error) {
		s.takeBack(before, err)
		unlock()
	})
	if !abandoned {
		unlock()
		return errors.Join(err, before.Close())
	}
	if s.broken() != nil {
		unlock()
	}
	return err
}

// noteBatches gives the batch that keeps notes, and the one that puts back what was there before.
func (s *Spool) noteBatches(notes []relay.Note) (b, before *pebble.Batch, err error) {
	b, before = s.db.NewBatch(), s.db.NewBatch()
	for _, n := range notes {
		key := noteKey(n.Key)
		was, getErr := s.get(key)
		if errors.Is(getErr, pebble.ErrNotFound) || errors.Is(getErr, relay.ErrCorrupt) {
			was, getErr = nil, nil
		}
		err = errors.Join(err, getErr, setNote(b, key, n.Value), setNote(before, key, was))
	}
	return b, before, err
}

// setNote sets a note, or removes it where it has no value. A note is written over and over, so this
// is no place for SingleDelete.
func setNote(b *pebble.Batch, key, value []byte) error {
	if len(value) == 0 {
		return b.Delete(key, nil)
	}
	return b.Set(key, value, nil)
}

// takeBack undoes notes that were refused while the disk was full, where they came to be written all
// the same.
func (s *Spool) takeBack(before *pebble.Batch, err error) {
	if err != nil {
		err = before.Close()
	} else {
		err = s.apply(before, pebble.NoSync)
	}
	if err != nil {
		s.o.Fault(relay.Fault{Doing: "undo notes that were refused while the disk was full", Err: err})
	}
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
