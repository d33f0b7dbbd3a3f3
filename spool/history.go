package spool

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"postrider/relay"
)

// The history has, in h under a message's id, its facts, written as it leaves the queue with the
// events of its end, and an entry for each settlement before that had something to tell. In i is
// the index, written as a message arrives (historyindex.go). Both sort by time of arrival, and are dropped by
// ranges.

// The kinds of entries in h, the byte after the id.
const (
	historyFacts  = 0
	historyEvents = 1
)

var _ relay.History = (*Spool)(nil)

func factsKey(id relay.ID) []byte { return append(idPrefix(spaceHistory, id), historyFacts) }

// eventsKey is where the events of a settlement are; no two settlements have one part and rev.
func eventsKey(p relay.DeliveryID, rev uint32) []byte {
	key := append(idPrefix(spaceHistory, p.Message), historyEvents)
	key = binary.BigEndian.AppendUint32(key, p.Part)
	return binary.BigEndian.AppendUint32(key, rev)
}

// addEvents keeps the events of a settlement.
func (s *Spool) addEvents(b *pebble.Batch, p place, events []relay.Event) error {
	if !s.o.History.on() || len(events) == 0 {
		return nil
	}
	record, err := s.codec.encodeEvents(events)
	if err != nil {
		return err
	}
	return set(b, eventsKey(p.id, p.rev), record)
}

// addFacts keeps the facts of a message that leaves the queue, with the events that end it.
func (s *Spool) addFacts(b *pebble.Batch, m *relay.Message, events []relay.Event) error {
	if !s.o.History.on() {
		return nil
	}
	record, err := s.codec.encodeFacts(relay.FactsOf(m), events)
	if err != nil {
		return err
	}
	return set(b, factsKey(m.ID), record)
}

// Record keeps events that come with no settlement. The facts are those that the message leaves the
// queue with, if it is or has been there.
func (s *Spool) Record(ctx context.Context, m *relay.Message, events ...relay.Event) error {
	if !s.o.History.on() {
		return nil
	}
	if err := s.record(ctx, m, events); err != nil {
		return fmt.Errorf("record message %s: %w", m.ID, err)
	}
	return nil
}

func (s *Spool) record(ctx context.Context, m *relay.Message, events []relay.Event) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	// It may be on its way out at this moment, and what it leaves with must not be written over.
	full := s.disk.filled()
	unlock, ok := s.messages.lockUnless(full, m.ID)
	if !ok {
		return relay.StorageFull(errFull)
	}
	unlock = sync.OnceFunc(unlock)
	b := s.db.NewBatch()
	if err := s.addRecord(b, m, events); err != nil {
		unlock()
		return errors.Join(err, b.Close())
	}
	abandoned, err := s.applyUnless(ctx, full, b, pebble.NoSync, func(error) { unlock() })
	if !abandoned || s.broken() != nil {
		unlock()
	}
	return err
}

func (s *Spool) addRecord(b *pebble.Batch, m *relay.Message, events []relay.Event) error {
	known, err := s.has(messageKey(m.ID))
	if err == nil && !known {
		known, err = s.has(factsKey(m.ID))
	}
	if err == nil && !known {
		err = s.addFacts(b, m, nil)
	}
	return errors.Join(err, s.addIndex(b, m, events...), s.addEvents(b, aloof(m.ID), events))
}

// aloof is the place of events that come with no settlement: no part of a message in the queue has
// that number.
func aloof(id relay.ID) place {
	return place{id: relay.DeliveryID{Message: id, Part: math.MaxUint32}}
}

// has says whether there is a record, readable or not.
func (s *Spool) has(key []byte) (bool, error) {
	_, err := s.get(key)
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		return false, nil
	case errors.Is(err, relay.ErrCorrupt):
		return true, nil
	}
	return err == nil, err
}

// Life tells what is known of a message.
func (s *Spool) Life(ctx context.Context, id relay.ID) (*relay.Life, error) {
	l, err := s.lifeOf(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("life of message %s: %w", id, err)
	}
	return l, nil
}

func (s *Spool) lifeOf(ctx context.Context, id relay.ID) (*relay.Life, error) {
	l, found := &relay.Life{Facts: relay.Facts{ID: id}}, false
	m, err := s.Message(ctx, id)
	switch {
	case err == nil:
		l.Facts, l.Queued, found = relay.FactsOf(m), true, true
	case !errors.Is(err, relay.ErrNotFound) && !errors.Is(err, relay.ErrCorrupt):
		return nil, err
	}
	prefix := idPrefix(spaceHistory, id)
	for next := prefix; ; {
		page, err := s.pairs(ctx, next, after(prefix))
		if err != nil {
			return nil, err
		}
		for _, p := range page {
			err := s.addToLife(l, id, p)
			if errors.Is(err, relay.ErrCorrupt) {
				s.setAsideLater(ctx, p.key, err)
				continue
			}
			if err != nil {
				return nil, err
			}
			found = true
		}
		if len(page) < pageSize {
			break
		}
		next = append(page[len(page)-1].key, 0)
	}
	if !found {
		return nil, relay.ErrNotFound
	}
	slices.SortStableFunc(l.Events, func(a, b relay.Event) int { return a.At.Compare(b.At) })
	return l, nil
}

// addToLife reads an entry of the history.
func (s *Spool) addToLife(l *relay.Life, id relay.ID, p pair) error {
	if len(p.key) == len(factsKey(id)) {
		facts, events, err := s.codec.decodeFacts(id, p.value)
		if err != nil {
			return err
		}
		l.Facts = facts
		l.Events = append(l.Events, events...)
		return nil
	}
	events, err := s.codec.decodeEvents(p.value)
	l.Events = append(l.Events, events...)
	return err
}
