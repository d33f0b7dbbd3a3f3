package spool

import (
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"postrider/relay"
)

// errNoDelivery refuses a message that nobody would ever remove.
var errNoDelivery = errors.New("message without a delivery")

// arrival is a message on its way into the queue: a draft's, or a notice.
//
// What a batch writes is visible to others before it is durable. So the deliveries are
// held from before the batch is applied until it has ended well: nobody delivers mail
// that a crash could still undo, and those that the caller claims stay held.
type arrival struct {
	s      *Spool
	m      *relay.Message
	ds     []relay.Delivery
	events []relay.Event
	layout layout
	places []placed
}

// placed is where a delivery lies, with the key of that.
type placed struct {
	place
	key string
}

// add puts the message, the rest of its body and its deliveries into the batch.
func (a *arrival) add(b *pebble.Batch, body []byte) error {
	if len(a.ds) == 0 {
		return errNoDelivery
	}
	if err := a.addBody(b, body); err != nil {
		return err
	}
	for _, d := range a.ds {
		a.layout.parts = max(a.layout.parts, d.Part+1)
	}
	a.m.Place = a.layout
	record, err := a.s.codec.encodeMessage(a.m, a.layout)
	if err != nil {
		return err
	}
	if err := set(b, messageKey(a.m.ID), record); err != nil {
		return err
	}
	if err := errors.Join(a.s.addIndex(b, a.m, a.events...), a.s.addEvents(b, aloof(a.m.ID), a.events)); err != nil {
		return err
	}
	a.places = make([]placed, 0, len(a.ds))
	for _, d := range a.ds {
		d.Sole = len(a.ds) == 1
		p := placeOf(d, relay.DeliveryID{Message: a.m.ID, Part: d.Part}, 0)
		key, err := a.s.addDelivery(b, p, d)
		if err != nil {
			return err
		}
		a.places = append(a.places, placed{p, string(key)})
	}
	return nil
}

// addBody adds what is not on disk yet. A body that is there in part has an id of its own
// and a note, which goes now that the body has a message.
func (a *arrival) addBody(b *pebble.Batch, body []byte) error {
	l := &a.layout
	if l.chunks == 0 {
		l.body = a.m.ID
	} else if err := b.SingleDelete(draftKey(l.body), nil); err != nil {
		return err
	}
	l.length = int64(l.chunks)*chunkSize + int64(len(body))
	for len(body) > 0 {
		n := min(len(body), chunkSize)
		if err := b.Set(chunkKey(l.body, l.chunks), body[:n], nil); err != nil {
			return err
		}
		body = body[n:]
		l.chunks++
	}
	return nil
}

// addDelivery puts a delivery and its location into the batch, and gives its key.
func (s *Spool) addDelivery(b *pebble.Batch, p place, d relay.Delivery) (key []byte, err error) {
	record, err := s.codec.encodeDelivery(d)
	if err != nil {
		return nil, err
	}
	key = p.key()
	return key, errors.Join(set(b, key, record), b.Set(p.locationKey(), key, nil))
}

// hold claims all deliveries, or none where one of them is claimed.
func (a *arrival) hold() bool { return a.s.claims.hold(a.places) }

// drop gives up the claims of deliveries that are not in the queue.
func (a *arrival) drop() {
	for _, p := range a.places {
		a.s.retire(p.id, p.key)
	}
	a.s.claims.arrived(len(a.places))
}

// publish lets others at the deliveries that the caller does not claim.
func (a *arrival) publish() {
	a.s.arrivals.lower(messageKey(a.m.ID))
	for i, p := range a.places {
		a.s.located.lower(p.locationKey())
		if !a.ds[i].Claimed {
			a.s.release(p.id, p.key)
		}
	}
	a.s.claims.arrived(len(a.places))
}

// late undoes a commit whose client has been told that it failed.
func (a *arrival) late(err error) {
	defer a.drop()
	if err != nil {
		return
	}
	if err := a.remove(); err != nil {
		a.s.o.Fault(relay.Fault{Doing: "undo the commit of a message that was refused while the disk was full", Message: a.m.ID, Err: err})
	}
}

func (a *arrival) remove() error {
	b := a.s.db.NewBatch()
	err := errors.Join(
		b.SingleDelete(messageKey(a.m.ID), nil),
		removeChunks(b, a.layout.body, a.layout.chunks))
	for _, p := range a.places {
		err = errors.Join(err, removeDelivery(b, p.place))
	}
	if err != nil {
		return errors.Join(err, b.Close())
	}
	return a.s.apply(b, pebble.NoSync)
}

func removeDelivery(b *pebble.Batch, p place) error {
	return errors.Join(b.SingleDelete(p.key(), nil), b.SingleDelete(p.locationKey(), nil))
}
