package spool

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"postrider/relay"
)

// Quarantine sets a message aside with its deliveries, also those that are claimed: a
// Settle of one of them finds nothing and changes nothing. The body stays where it is.
func (s *Spool) Quarantine(ctx context.Context, id relay.ID, reason string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	unlock, err := s.messages.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.quarantine(id, reason); err != nil {
		return fmt.Errorf("quarantine message %s: %w", id, err)
	}
	return nil
}

func (s *Spool) quarantine(id relay.ID, reason string) error {
	locations, err := s.locations(id)
	if err != nil {
		return err
	}
	b := s.db.NewBatch()
	err = s.addQuarantined(b, messageKey(id), reason)
	for _, l := range locations {
		err = errors.Join(err, s.addQuarantined(b, l.queueKey, reason), s.addQuarantined(b, l.key, reason))
	}
	prefix := idPrefix(spacePart, id)
	given, keysErr := s.keys(prefix, after(prefix))
	err = errors.Join(err, keysErr)
	for _, key := range given {
		err = errors.Join(err, s.addQuarantined(b, key, reason))
	}
	if err == nil && b.Empty() {
		err = relay.ErrNotFound
	}
	if err != nil {
		return errors.Join(err, b.Close())
	}
	var taken []location
	for _, l := range locations {
		if s.claims.take(l.id, string(l.queueKey)) { // or somebody holds it
			taken = append(taken, l)
		}
	}
	if err := s.apply(b, pebble.NoSync); err != nil {
		for _, l := range taken {
			s.release(l.id, string(l.queueKey))
		}
		return err
	}
	for _, l := range locations {
		s.retire(l.id, string(l.queueKey))
	}
	return nil
}

// addQuarantined moves a record to the quarantine, as it is. One that is not there is
// nothing to move; one that the disk does not give back moves without its bytes.
func (s *Spool) addQuarantined(b *pebble.Batch, key []byte, reason string) error {
	raw, err := s.get(key)
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		return nil
	case errors.Is(err, relay.ErrCorrupt):
		reason += ": " + err.Error()
	case err != nil:
		return err
	}
	return s.addAside(b, key, raw, reason)
}

// addAside moves a record whose bytes are at hand.
func (s *Spool) addAside(b *pebble.Batch, key, raw []byte, reason string) error {
	record, err := s.codec.encode(nil, &quarantineRecord{Reason: reason, At: nanos(s.o.Now()), Raw: raw})
	if err != nil {
		return err
	}
	aside := append([]byte{spaceQuarantine}, key...)
	// Whatever made the record unusable may have written it twice: this is no place
	// for SingleDelete.
	return errors.Join(set(b, aside, record), b.Delete(key, nil))
}

// setAsideLater is setAside for who is not inside enter.
func (s *Spool) setAsideLater(ctx context.Context, key []byte, why error) {
	if err := s.enter(ctx); err != nil {
		return // the next start meets it again
	}
	defer s.leave()
	s.setAside(key, why)
}

// setAside moves one record to the quarantine that was met on the way, and reports it.
// A delivery's location stays, so that the message and its body stay too.
func (s *Spool) setAside(key []byte, why error) {
	f := relay.Fault{Doing: "read a record of the spool, which was set aside", Err: fmt.Errorf("key %x: %w", key, why)}
	if p, _, err := parsePlace(key); err == nil {
		f.Message = p.id.Message
	}
	b := s.db.NewBatch()
	if err := s.addQuarantined(b, key, why.Error()); err != nil {
		f.Err = errors.Join(f.Err, err, b.Close())
	} else if err := s.apply(b, pebble.NoSync); err != nil {
		f.Err = errors.Join(f.Err, err)
	}
	s.o.Fault(f)
}
