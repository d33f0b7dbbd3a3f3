package spool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"postrider/relay"
)

// errUnclaimed is the answer to who settles what he does not hold.
var errUnclaimed = errors.New("the delivery is not claimed")

// errMixed refuses to settle deliveries of several messages at once.
var errMixed = errors.New("settlements of more than one message")

// Settle ends an attempt in one batch. It waits for space while the disk is full: what
// became of a delivery must not be forgotten.
func (s *Spool) Settle(ctx context.Context, sts ...relay.Settlement) error {
	if len(sts) == 0 {
		return nil
	}
	if err := s.settle(ctx, sts); err != nil {
		return fmt.Errorf("settle %s: %w", sts[0].Delivery.DeliveryID, err)
	}
	return nil
}

func (s *Spool) settle(ctx context.Context, sts []relay.Settlement) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	unlock, err := s.messages.lock(ctx, sts[0].Delivery.Message)
	if err != nil {
		return err
	}
	unlock = sync.OnceFunc(unlock)
	e, err := s.prepareEnding(sts)
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
	default:
		e.leave()
	}
	return err
}

// prepareEnding makes the batch, with the notices held. The message is locked.
func (s *Spool) prepareEnding(sts []relay.Settlement) (*ending, error) {
	e := &ending{s: s, id: sts[0].Delivery.Message, sts: sts, was: make([]place, len(sts))}
	for i, st := range sts {
		if st.Delivery.Message != e.id {
			return nil, errMixed
		}
		key, held := s.claims.mine(st.Delivery.DeliveryID)
		if !held {
			return nil, fmt.Errorf("%w: %w", errUnclaimed, relay.ErrNotFound)
		}
		var err error
		if e.was[i], _, err = parsePlace([]byte(key)); err != nil {
			return nil, err
		}
	}
	e.b = s.db.NewBatch()
	if err := e.build(); err != nil {
		return nil, errors.Join(err, e.b.Close())
	}
	if err := e.hold(); err != nil {
		return nil, errors.Join(err, e.b.Close())
	}
	return e, nil
}

// ending is the batch that ends attempts at a message, in the making.
type ending struct {
	s   *Spool
	id  relay.ID
	sts []relay.Settlement
	// was are the places of the deliveries that end.
	was []place
	b   *pebble.Batch

	then    []placed
	notices []arrival
	// part is the last number given to a part, once one has been.
	part uint32

	mu sync.Mutex
	// left says that the holder of the deliveries has gone, and ended that the batch has.
	left, ended bool
}

func (e *ending) build() error {
	for i, st := range e.sts {
		if err := removeDelivery(e.b, e.was[i]); err != nil {
			return err
		}
		if err := e.addThen(st, e.was[i]); err != nil {
			return err
		}
		for _, n := range st.Notices {
			a := arrival{s: e.s, m: n.Message, ds: n.Deliveries}
			if err := a.add(e.b, n.Body); err != nil {
				return fmt.Errorf("notice %s: %w", n.Message.ID, err)
			}
			e.notices = append(e.notices, a)
		}
	}
	if len(e.then) > 0 {
		return e.addEvents()
	}
	last, err := e.isLast()
	switch {
	case err != nil:
		return err
	case !last:
		return e.addEvents()
	}
	return e.removeMessage()
}

// addEvents keeps what there is to remember of each settlement. What ends a message is kept with
// its facts.
func (e *ending) addEvents() error {
	var err error
	for i, st := range e.sts {
		err = errors.Join(err, e.s.addEvents(e.b, e.was[i], st.Events))
	}
	return err
}

// addThen adds what remains of a delivery. The first keeps the number of the part.
func (e *ending) addThen(st relay.Settlement, was place) error {
	for i, d := range st.Then {
		p := placeOf(d, was.id, was.rev+1)
		if i > 0 {
			part, err := e.newPart()
			if err != nil {
				return err
			}
			p.id.Part, p.rev = part, 0
		}
		d.Sole = st.Delivery.Sole && len(st.Then) == 1
		key, err := e.s.addDelivery(e.b, p, d)
		if err != nil {
			return err
		}
		e.then = append(e.then, placed{p, string(key)})
	}
	return nil
}

// newPart gives the number after those that the message has ever had, and notes it.
func (e *ending) newPart() (uint32, error) {
	if e.part == 0 {
		l, err := e.layout()
		if err != nil {
			return 0, err
		}
		prefix := idPrefix(spacePart, e.id)
		given, err := e.s.keys(prefix, after(prefix))
		if err != nil {
			return 0, err
		}
		e.part = l.parts - 1
		if len(given) > 0 {
			if _, e.part, err = parseNumbered(given[len(given)-1]); err != nil {
				return 0, err
			}
		}
	}
	e.part++
	return e.part, e.b.Set(partKey(e.id, e.part), []byte{recordVersion}, nil)
}

// sole says that the message has never had another delivery.
func (e *ending) sole() bool { return len(e.sts) == 1 && e.sts[0].Delivery.Sole }

// isLast says whether the message has no other delivery. The message is locked, so none
// can come or go meanwhile.
func (e *ending) isLast() (bool, error) {
	if e.sole() {
		return true, nil
	}
	return e.s.hasOnly(e.id, e.was)
}

// hasOnly says whether the message has no delivery but these. It looks from the end: a message with many
// deliveries loses them from the start as a rule, and what has gone is in the way there.
func (s *Spool) hasOnly(id relay.ID, these []place) (only bool, err error) {
	prefix := idPrefix(spaceDelivery, id)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return false, corrupt(err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.Last(); ok; ok = it.Prev() {
		at, err := parseLocation(it.Key())
		if err == nil && !slices.ContainsFunc(these, func(p place) bool { return p.id == at }) {
			return false, nil
		}
	}
	return true, corrupt(it.Error())
}

// removeMessage removes the message and its body. A record that cannot be read names no
// body; it is set aside, and the body stays for who looks into it.
func (e *ending) removeMessage() error {
	l, err := e.layout()
	switch {
	case errors.Is(err, relay.ErrCorrupt):
		return e.s.addQuarantined(e.b, messageKey(e.id), err.Error())
	case errors.Is(err, relay.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	err = errors.Join(e.remember(), e.b.SingleDelete(messageKey(e.id), nil), removeChunks(e.b, l.body, l.chunks))
	if e.sole() || err != nil {
		return err
	}
	prefix := idPrefix(spacePart, e.id)
	given, err := e.s.keys(prefix, after(prefix))
	for _, key := range given {
		err = errors.Join(err, e.b.SingleDelete(key, nil))
	}
	return err
}

// remember keeps the facts of the message. One that cannot be read has none.
func (e *ending) remember() error {
	m := e.sts[0].Message
	if !e.s.o.History.on() {
		return nil
	}
	events := e.sts[0].Events
	for _, st := range e.sts[1:] {
		events = append(events[:len(events):len(events)], st.Events...)
	}
	if m == nil || m.ID != e.id {
		value, err := e.s.messageValue(e.id)
		if err == nil {
			m, _, err = e.s.codec.decodeMessage(e.id, value)
		}
		if errors.Is(err, relay.ErrCorrupt) || errors.Is(err, relay.ErrNotFound) {
			return e.addEvents()
		}
		if err != nil {
			return err
		}
	}
	return e.s.addFacts(e.b, m, events)
}

// layout is that of the message, which may be at hand.
func (e *ending) layout() (layout, error) {
	if m := e.sts[0].Message; m != nil && m.ID == e.id {
		return e.s.layoutOf(m)
	}
	return e.s.layout(e.id)
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

// leave keeps the claims for the batch, which nobody waits for any more.
func (e *ending) leave() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		return
	}
	e.left = true
	for _, p := range e.was {
		e.s.claims.leave(p.id)
	}
}

// finish says whether the claims have been left to the batch, and that they are not from now on.
func (e *ending) finish() (left bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
	return e.left
}

// end sees to the claims, now that the batch has been applied or has failed.
func (e *ending) end(err error) {
	left := e.finish()
	for i := range e.notices {
		if err != nil {
			e.notices[i].drop()
		} else {
			e.notices[i].publish()
		}
	}
	for _, p := range e.was {
		switch {
		case err == nil:
			e.s.retire(p.id, string(p.key()))
		case left:
			e.s.release(p.id, string(p.key()))
		}
	}
	if err != nil {
		return
	}
	for _, p := range e.then {
		e.s.located.lower(p.locationKey())
		e.s.appear(p.key)
	}
}
