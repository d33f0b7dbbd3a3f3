package spool

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"

	"github.com/cockroachdb/pebble/v2"

	"postrider/relay"
)

var _ relay.Quarantine = (*Spool)(nil)

// Aside yields what was set aside.
func (s *Spool) Aside(ctx context.Context) iter.Seq2[relay.Aside, error] {
	return func(yield func(relay.Aside, error) bool) {
		err := s.eachAside(ctx, func(key []byte, r *quarantineRecord) (bool, error) {
			a := relay.Aside{Key: hex.EncodeToString(key), Reason: r.Reason, At: fromNanos(r.At), Size: len(r.Raw)}
			a.Message, a.What = belongs(key)
			return yield(a, nil), nil
		})
		if err != nil {
			yield(relay.Aside{}, fmt.Errorf("list the quarantine: %w", err))
		}
	}
}

// eachAside goes through the quarantine; key is the one that a record had before.
func (s *Spool) eachAside(ctx context.Context, visit func(key []byte, r *quarantineRecord) (bool, error)) error {
	next := []byte{spaceQuarantine}
	for {
		page, err := s.pairs(ctx, next, after([]byte{spaceQuarantine}))
		if err != nil {
			return err
		}
		for _, p := range page {
			var r quarantineRecord
			if err := s.codec.decode(p.value, 0, &r); err != nil {
				r = quarantineRecord{Reason: err.Error(), Raw: p.value}
			}
			if more, err := visit(p.key[1:], &r); err != nil || !more {
				return err
			}
		}
		if len(page) < pageSize {
			return nil
		}
		next = append(page[len(page)-1].key, 0)
	}
}

// belongs says which message a key is of, and what it is the key of.
func belongs(key []byte) (id relay.ID, what string) {
	if p, _, err := parsePlace(key); err == nil {
		return p.id.Message, "delivery"
	}
	if len(key) < 1+len(id) {
		return id, ""
	}
	id = relay.ID(key[1 : 1+len(id)])
	switch key[0] {
	case spaceMessage:
		return id, "message"
	case spaceDelivery:
		return id, "location"
	case spacePart:
		return id, "part"
	case spaceHistory:
		return id, "history"
	}
	return relay.ID{}, ""
}

// Raw returns a record as it was.
func (s *Spool) Raw(ctx context.Context, key string) ([]byte, error) {
	raw, err := hex.DecodeString(key)
	if err != nil {
		return nil, fmt.Errorf("read the quarantine: %w", relay.ErrNotFound)
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	value, err := s.get(append([]byte{spaceQuarantine}, raw...))
	if errors.Is(err, pebble.ErrNotFound) {
		err = relay.ErrNotFound
	}
	var r quarantineRecord
	if err == nil {
		err = s.codec.decode(value, 0, &r)
	}
	if err != nil {
		return nil, fmt.Errorf("read the quarantine: %w", err)
	}
	return r.Raw, nil
}

// asideOf collects what was set aside of a message.
func (s *Spool) asideOf(ctx context.Context, id relay.ID) (list []pair, err error) {
	err = s.eachAside(ctx, func(key []byte, r *quarantineRecord) (bool, error) {
		if of, what := belongs(key); of == id && what != "" {
			list = append(list, pair{bytes.Clone(key), r.Raw})
		}
		return true, nil
	})
	if err == nil && len(list) == 0 {
		err = relay.ErrNotFound
	}
	return list, err
}

// Restore puts a message back.
func (s *Spool) Restore(ctx context.Context, id relay.ID) ([]relay.Delivery, error) {
	list, err := s.asideOf(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	unlock, err := s.messages.lock(ctx, id)
	if err != nil {
		return nil, err
	}
	defer unlock()
	b := s.db.NewBatch()
	ds, places, err := s.addRestored(b, id, list)
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	if err := s.apply(b, pebble.Sync); err != nil {
		return nil, err
	}
	s.arrivals.lower(messageKey(id))
	for _, p := range places {
		s.located.lower(p.locationKey())
		s.appear(p.key)
	}
	return ds, nil
}

// addRestored puts records back into their spaces. Deliveries get new keys, as with every
// change, and with them new locations in place of those they had.
func (s *Spool) addRestored(b *pebble.Batch, id relay.ID, list []pair) (ds []relay.Delivery, places []placed, err error) {
	for _, p := range list {
		_, what := belongs(p.key)
		switch what {
		case "message":
			_, _, err = s.codec.decodeMessage(id, p.value)
			err = errors.Join(err, b.Set(p.key, p.value, nil))
		case "part":
			err = b.Set(p.key, p.value, nil)
		case "delivery":
			was, _, _ := parsePlace(p.key)
			var d relay.Delivery
			if d, err = s.codec.decodeDelivery(was, p.value); err != nil {
				break
			}
			now := was
			now.rev++
			var key []byte
			key, err = s.addDelivery(b, now, d)
			err = errors.Join(err, b.Delete(was.locationKey(), nil))
			ds, places = append(ds, d), append(places, placed{now, string(key)})
		}
		if err != nil {
			return nil, nil, err
		}
		if err := b.Delete(append([]byte{spaceQuarantine}, p.key...), nil); err != nil {
			return nil, nil, err
		}
	}
	if len(ds) == 0 {
		return nil, nil, fmt.Errorf("%w: no delivery of it can be read", relay.ErrCorrupt)
	}
	if _, err := s.messageValue(id); errors.Is(err, relay.ErrNotFound) && !hasMessage(list) {
		return nil, nil, fmt.Errorf("%w: its record is gone", relay.ErrCorrupt)
	}
	return ds, places, nil
}

func hasMessage(list []pair) bool {
	for _, p := range list {
		if p.key[0] == spaceMessage {
			return true
		}
	}
	return false
}

// Forget removes what was set aside of a message.
func (s *Spool) Forget(ctx context.Context, id relay.ID) (int, error) {
	list, err := s.asideOf(ctx, id)
	if err != nil {
		return 0, err
	}
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.leave()
	unlock, err := s.messages.lock(ctx, id)
	if err != nil {
		return 0, err
	}
	defer unlock()
	b := s.db.NewBatch()
	if err := s.addForgotten(b, id, list); err != nil {
		return 0, errors.Join(err, b.Close())
	}
	return len(list), s.apply(b, pebble.NoSync)
}

// addForgotten removes the records, the locations that led to them, and the body of a message
// that has nothing else.
func (s *Spool) addForgotten(b *pebble.Batch, id relay.ID, list []pair) error {
	locations, err := s.locations(id)
	if err != nil {
		return err
	}
	left := len(locations)
	gone := make(map[string]bool)
	raw := []byte(nil)
	for _, p := range list {
		gone[string(p.key)] = true
		if p.key[0] == spaceMessage {
			raw = p.value
		}
		err = errors.Join(err, b.Delete(append([]byte{spaceQuarantine}, p.key...), nil))
	}
	for _, l := range locations {
		if gone[string(l.queueKey)] {
			err = errors.Join(err, b.Delete(l.key, nil))
			left--
		}
	}
	if left > 0 || err != nil {
		return err
	}
	return s.addGone(b, id, raw)
}

// addGone removes what is left of a message that has no delivery any more; raw is its record where
// that was set aside. Where the record does not say where the body is, it can only be under the
// message's own name.
func (s *Spool) addGone(b *pebble.Batch, id relay.ID, raw []byte) error {
	var err error
	if raw == nil {
		raw, err = s.messageValue(id)
	}
	if err != nil && !errors.Is(err, relay.ErrNotFound) && !errors.Is(err, relay.ErrCorrupt) {
		return err
	}
	prefixes := [][]byte{messageKey(id), idPrefix(spacePart, id)}
	if l, err := decodeLayout(raw); err != nil {
		prefixes = append(prefixes, idPrefix(spaceBody, id))
	} else if err := removeChunks(b, l.body, l.chunks); err != nil {
		return err
	}
	for _, prefix := range prefixes {
		keys, err := s.keys(prefix, after(prefix))
		for _, key := range keys {
			err = errors.Join(err, b.Delete(key, nil))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
