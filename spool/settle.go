package spool

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"postrider/relay"
)

// errUnclaimed is the answer to who settles what he does not hold.
var errUnclaimed = errors.New("the delivery is not claimed")

// Settle ends an attempt in one batch. It waits for space while the disk is full: what
// became of a delivery must not be forgotten.
func (s *Spool) Settle(ctx context.Context, st relay.Settlement) error {
	id := st.Delivery.DeliveryID
	if err := s.settle(ctx, st); err != nil {
		return fmt.Errorf("settle %s: %w", id, err)
	}
	return nil
}

func (s *Spool) settle(ctx context.Context, st relay.Settlement) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	id := st.Delivery.DeliveryID
	unlock, err := s.messages.lock(ctx, id.Message)
	if err != nil {
		return err
	}
	unlock = sync.OnceFunc(unlock)
	e, err := s.prepareEnding(st)
	if err != nil {
		unlock()
		return err
	}
	// Who gives up waiting for a full disk leaves the batch, the claim and the lock to
	// the moment when there is space.
	end := func(err error) {
		e.end(err)
		unlock()
	}
	abandoned, err := s.applyUnless(ctx, nil, e.b, pebble.NoSync, end)
	switch {
	case !abandoned:
		end(err)
	case s.broken() != nil:
		unlock()
	}
	return err
}

// prepareEnding makes the batch, with the notices held. The message is locked.
func (s *Spool) prepareEnding(st relay.Settlement) (*ending, error) {
	key, held := s.claims.key(st.Delivery.DeliveryID)
	if !held {
		return nil, fmt.Errorf("%w: %w", errUnclaimed, relay.ErrNotFound)
	}
	was, _, err := parsePlace([]byte(key))
	if err != nil {
		return nil, err
	}
	e := &ending{s: s, st: st, was: was, b: s.db.NewBatch()}
	if err := e.build(); err != nil {
		return nil, errors.Join(err, e.b.Close())
	}
	if err := e.hold(); err != nil {
		return nil, errors.Join(err, e.b.Close())
	}
	return e, nil
}

// ending is the batch that ends an attempt, in the making.
type ending struct {
	s   *Spool
	st  relay.Settlement
	was place
	b   *pebble.Batch

	then    []place
	notices []arrival
}

func (e *ending) build() error {
	if err := removeDelivery(e.b, e.was); err != nil {
		return err
	}
	if err := e.addThen(); err != nil {
		return err
	}
	for _, n := range e.st.Notices {
		a := arrival{s: e.s, m: n.Message, ds: n.Deliveries}
		if err := a.add(e.b, n.Body); err != nil {
			return fmt.Errorf("notice %s: %w", n.Message.ID, err)
		}
		e.notices = append(e.notices, a)
	}
	if len(e.st.Then) > 0 {
		return nil
	}
	last, err := e.isLast()
	if err != nil || !last {
		return err
	}
	return e.removeMessage()
}

// addThen adds what remains. The first keeps the number of the part.
func (e *ending) addThen() error {
	for i, d := range e.st.Then {
		p := placeOf(d, e.was.id, e.was.rev+1)
		if i > 0 {
			part, err := e.newPart(uint32(i))
			if err != nil {
				return err
			}
			p.id.Part, p.rev = part, 0
		}
		d.Sole = e.st.Delivery.Sole && len(e.st.Then) == 1
		if err := e.s.addDelivery(e.b, p, d); err != nil {
			return err
		}
		e.then = append(e.then, p)
	}
	return nil
}

// newPart gives the n-th number after those that the message has ever had, and notes it.
func (e *ending) newPart(n uint32) (uint32, error) {
	id := e.was.id.Message
	l, err := e.layout()
	if err != nil {
		return 0, err
	}
	prefix := idPrefix(spacePart, id)
	given, err := e.s.keys(prefix, after(prefix))
	if err != nil {
		return 0, err
	}
	last := l.parts - 1
	if len(given) > 0 {
		if _, last, err = parseNumbered(given[len(given)-1]); err != nil {
			return 0, err
		}
	}
	return last + n, e.b.Set(partKey(id, last+n), []byte{recordVersion}, nil)
}

// isLast says whether the message has no other delivery. The message is locked, so none
// can come or go meanwhile.
func (e *ending) isLast() (bool, error) {
	if e.st.Delivery.Sole {
		return true, nil
	}
	locations, err := e.s.locations(e.was.id.Message)
	if err != nil {
		return false, err
	}
	for _, l := range locations {
		if l.id != e.was.id {
			return false, nil
		}
	}
	return true, nil
}

// removeMessage removes the message and its body. A record that cannot be read names no
// body; it is set aside, and the body stays for who looks into it.
func (e *ending) removeMessage() error {
	id := e.was.id.Message
	l, err := e.layout()
	switch {
	case errors.Is(err, relay.ErrCorrupt):
		return e.s.addQuarantined(e.b, messageKey(id), err.Error())
	case errors.Is(err, relay.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	err = errors.Join(e.b.SingleDelete(messageKey(id), nil), removeChunks(e.b, l.body, l.chunks))
	if e.st.Delivery.Sole || err != nil {
		return err
	}
	prefix := idPrefix(spacePart, id)
	given, err := e.s.keys(prefix, after(prefix))
	for _, key := range given {
		err = errors.Join(err, e.b.SingleDelete(key, nil))
	}
	return err
}

// layout is that of the message, which may be at hand.
func (e *ending) layout() (layout, error) {
	if m := e.st.Message; m != nil && m.ID == e.was.id.Message {
		return e.s.layoutOf(m)
	}
	return e.s.layout(e.was.id.Message)
}

// hold claims the deliveries of all notices, or none.
func (e *ending) hold() error {
	for i := range e.notices {
		if !e.notices[i].hold() {
			for j := range i {
				e.notices[j].drop()
			}
			return errTwice
		}
	}
	return nil
}

// end sees to the claims, now that the batch has been applied or has failed.
func (e *ending) end(err error) {
	for i := range e.notices {
		if err != nil {
			e.notices[i].drop()
		} else {
			e.notices[i].publish()
		}
	}
	if err != nil {
		return
	}
	e.s.retire(e.was.id, string(e.was.key()))
	for _, p := range e.then {
		e.s.located.lower(p.locationKey())
		e.s.appear(string(p.key()))
	}
}
