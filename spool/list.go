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

// pageSize is how many keys are read at a time by what goes through all of them. Between
// pages nothing is held: who reads slowly must not keep Pebble from removing files.
const pageSize = 512

// location is an entry of d.
type location struct {
	id  relay.DeliveryID
	key []byte
	// queueKey is where the delivery lies.
	queueKey []byte
}

// Bins yields each bin and flow with its earliest due time.
func (s *Spool) Bins(ctx context.Context, from relay.BinHead) iter.Seq2[relay.BinHead, error] {
	return func(yield func(relay.BinHead, error) bool) {
		next := []byte{spaceQueue} // before all that is in the space, also what should not be
		if from != (relay.BinHead{}) {
			next = binPrefix(from.To, from.Flow)
		}
		for {
			key, err := s.firstFrom(ctx, next, after([]byte{spaceQueue}))
			if errors.Is(err, relay.ErrCorrupt) {
				var keys [][]byte
				if keys, err = s.around(ctx, next, after([]byte{spaceQueue}), 1); len(keys) > 0 {
					key = keys[0]
				}
			}
			if err != nil {
				yield(relay.BinHead{}, fmt.Errorf("find bins: %w", err))
				return
			}
			if key == nil {
				return
			}
			p, prefix, err := parsePlace(key)
			if err != nil {
				s.setAsideLater(ctx, key, err)
				next = append(key, 0)
				continue
			}
			if !yield(relay.BinHead{To: p.to, Flow: p.flow, Due: p.due}, nil) {
				return
			}
			next = afterBin(prefix)
		}
	}
}

// firstFrom gives the first key from lower on, nil when there is none before upper.
func (s *Spool) firstFrom(ctx context.Context, lower, upper []byte) ([]byte, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	keys, err := s.keysUpTo(lower, upper, 1)
	if err != nil || len(keys) == 0 {
		return nil, err
	}
	return keys[0], nil
}

// Arrived yields messages in order of arrival.
func (s *Spool) Arrived(ctx context.Context, from relay.ID) iter.Seq2[relay.ID, error] {
	return func(yield func(relay.ID, error) bool) {
		next := messageKey(from)
		for {
			page, err := s.page(ctx, &s.arrivals, next)
			if err != nil {
				yield(relay.ID{}, fmt.Errorf("list messages: %w", err))
				return
			}
			for _, key := range page {
				if len(key) != 1+len(relay.ID{}) {
					s.setAsideLater(ctx, key, errKey)
					continue
				}
				if !yield(relay.ID(key[1:]), nil) {
					return
				}
			}
			if len(page) < pageSize {
				return
			}
			next = append(page[len(page)-1], 0)
		}
	}
}

// List yields all deliveries in order of arrival.
func (s *Spool) List(ctx context.Context, from relay.ID) iter.Seq2[relay.Delivery, error] {
	return func(yield func(relay.Delivery, error) bool) {
		next := idPrefix(spaceDelivery, from)
		for {
			page, err := s.page(ctx, &s.located, next)
			if err != nil {
				yield(relay.Delivery{}, fmt.Errorf("list deliveries: %w", err))
				return
			}
			for _, key := range page {
				d, err := s.listed(ctx, key)
				if err == nil && d == nil {
					continue
				}
				if err != nil {
					yield(relay.Delivery{}, fmt.Errorf("list deliveries: %w", err))
					return
				}
				if !yield(*d, nil) {
					return
				}
			}
			if len(page) < pageSize {
				return
			}
			next = append(page[len(page)-1], 0)
		}
	}
}

// listed reads the delivery of an entry of d; nil when it has gone since, or when it cannot
// be read, which is for who claims it to find out.
func (s *Spool) listed(ctx context.Context, key []byte) (*relay.Delivery, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	id, err := parseLocation(key)
	if err != nil {
		return nil, nil
	}
	queueKey, err := s.get(key)
	if err == nil {
		var d relay.Delivery
		if d, err = s.delivery(location{id: id, queueKey: queueKey}); err == nil {
			return &d, nil
		}
	}
	if errors.Is(err, pebble.ErrNotFound) || errors.Is(err, relay.ErrCorrupt) {
		return nil, nil
	}
	return nil, err
}

// Deliveries returns what a message has left.
func (s *Spool) Deliveries(ctx context.Context, id relay.ID) ([]relay.Delivery, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	unlock, err := s.messages.lock(ctx, id)
	if err != nil {
		return nil, err
	}
	defer unlock()
	locations, err := s.locations(id)
	if err != nil {
		return nil, fmt.Errorf("deliveries of %s: %w", id, err)
	}
	var ds []relay.Delivery
	for _, l := range locations {
		d, err := s.delivery(l)
		switch {
		case errors.Is(err, pebble.ErrNotFound), errors.Is(err, relay.ErrCorrupt):
		case err != nil:
			return nil, fmt.Errorf("deliveries of %s: %w", id, err)
		default:
			ds = append(ds, d)
		}
	}
	return ds, nil
}

// delivery reads a delivery where it lies.
func (s *Spool) delivery(l location) (relay.Delivery, error) {
	p, _, err := parsePlace(l.queueKey)
	if err != nil {
		return relay.Delivery{}, fmt.Errorf("%w: %w", relay.ErrCorrupt, err)
	}
	value, err := s.get(l.queueKey)
	if err != nil {
		return relay.Delivery{}, err
	}
	return s.codec.decodeDelivery(p, value)
}

// locations gives the entries of d of a message, in order of their parts. One that is no
// longer of use is left out.
func (s *Spool) locations(id relay.ID) (found []location, err error) {
	prefix := idPrefix(spaceDelivery, id)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return nil, corrupt(err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok; ok = it.Next() {
		id, err := parseLocation(it.Key())
		if err != nil {
			continue
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, corrupt(err)
		}
		found = append(found, location{id: id, key: bytes.Clone(it.Key()), queueKey: bytes.Clone(value)})
	}
	return found, corrupt(it.Error())
}

// keys gives all keys of a range, which is known to be short.
func (s *Spool) keys(lower, upper []byte) ([][]byte, error) {
	return s.keysUpTo(lower, upper, -1)
}

// keysUpTo gives the first n keys of a range.
func (s *Spool) keysUpTo(lower, upper []byte, n int) (keys [][]byte, err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, corrupt(err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok && len(keys) != n; ok = it.Next() {
		keys = append(keys, bytes.Clone(it.Key()))
	}
	return keys, corrupt(it.Error())
}

// page reads the next keys of a space from lower on, and remembers where the space begins.
func (s *Spool) page(ctx context.Context, h *head, lower []byte) ([][]byte, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	h.mu.Lock()
	defer h.mu.Unlock()
	upper := after(lower[:1])
	first := string(lower) <= h.first
	if first {
		lower = []byte(h.first)
	}
	keys, err := s.keysUpTo(lower, upper, pageSize)
	switch {
	case err != nil || !first:
	case len(keys) > 0:
		h.first = string(keys[0])
	default:
		h.first = string(upper)
	}
	return keys, err
}
