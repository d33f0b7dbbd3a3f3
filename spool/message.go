package spool

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"postrider/relay"
)

// Message returns a message's record.
func (s *Spool) Message(ctx context.Context, id relay.ID) (*relay.Message, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	value, err := s.claimedValue(id)
	if err != nil {
		return nil, fmt.Errorf("message %s: %w", id, err)
	}
	m, l, err := s.codec.decodeMessage(id, value)
	if err != nil {
		return nil, fmt.Errorf("message %s: %w", id, err)
	}
	m.Place = l
	return m, nil
}

// layoutOf is the layout that the message carries, or that of its record.
func (s *Spool) layoutOf(m *relay.Message) (layout, error) {
	if l, ok := m.Place.(layout); ok {
		return l, nil
	}
	return s.layout(m.ID)
}

// layout reads what is needed of a message to find or remove its body.
func (s *Spool) layout(id relay.ID) (layout, error) {
	value, err := s.messageValue(id)
	if err != nil {
		return layout{}, err
	}
	return decodeLayout(value)
}

func (s *Spool) messageValue(id relay.ID) ([]byte, error) {
	value, err := s.get(messageKey(id))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, relay.ErrNotFound
	}
	return value, err
}

// claimedValue is messageValue, sooner where a delivery of the message is claimed: the message is
// there, then, and nobody removes it but who holds the claim.
func (s *Spool) claimedValue(id relay.ID) ([]byte, error) {
	if _, held := s.claims.key(relay.DeliveryID{Message: id}); held {
		if value, found := s.records.near(s, id, messageKey(id), nil); found {
			return value, nil
		}
	}
	return s.messageValue(id)
}
