package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"postrider/relay"
)

// Claim claims what is due in a bin and flow.
func (s *Spool) Claim(ctx context.Context, to relay.Destination, flow relay.Flow, now time.Time, n int) ([]relay.Delivery, time.Time, error) {
	if err := s.enter(ctx); err != nil {
		return nil, time.Time{}, err
	}
	defer s.leave()
	// What cannot be settled must not be handed out.
	if err := s.broken(); err != nil {
		return nil, time.Time{}, err
	}
	c := claim{s: s, prefix: binPrefix(to, flow), now: now, n: n}
	if err := c.run(ctx); err != nil {
		s.giveUp(c.taken)
		return nil, time.Time{}, fmt.Errorf("claim from %s: %w", to, err)
	}
	s.setAsideAll(c.bad)
	return c.taken, c.next, nil
}

// claim is one walk along a bin.
type claim struct {
	s      *Spool
	prefix []byte
	now    time.Time
	n      int

	taken []relay.Delivery
	next  time.Time
	bad   []badRecord
}

type badRecord struct {
	key []byte
	err error
	// lost says that the disk does not give its bytes back.
	lost bool
}

func (c *claim) run(ctx context.Context) error {
	t := c.s.bins.stripe(c.prefix)
	t.mu.Lock()
	defer t.mu.Unlock()
	end := afterBin(c.prefix)
	stop, err := c.walk(t, end)
	switch {
	case errors.Is(err, relay.ErrCorrupt):
		return c.goAround(ctx, t, end)
	case err == nil && !stop:
		t.raise(c.prefix, end)
	}
	return err
}

// walk goes along the bin, and says whether it has stopped before the end.
func (c *claim) walk(t *binStripe, end []byte) (stop bool, err error) {
	it, err := c.s.db.NewIter(&pebble.IterOptions{LowerBound: t.bound(c.prefix), UpperBound: end})
	if err != nil {
		return false, corrupt(err)
	}
	defer func() { err = errors.Join(err, corrupt(it.Close())) }()
	for ok := it.First(); ok; ok = c.goOn(it) {
		if stop, err = c.visit(it.Key(), it.ValueAndErr); err != nil {
			return false, err
		}
		if stop {
			t.raise(c.prefix, it.Key())
			return true, nil
		}
	}
	return false, corrupt(it.Error())
}

// goOn moves to the next key. An iterator that has met an error wants to be placed anew.
func (c *claim) goOn(it *pebble.Iterator) bool {
	if it.Error() == nil {
		return it.Next()
	}
	return it.SeekGE(append(bytes.Clone(c.bad[len(c.bad)-1].key), 0))
}

// visit takes the delivery with the key, or says that the walk stops before it.
func (c *claim) visit(key []byte, read func() ([]byte, error)) (stop bool, err error) {
	p, _, err := parsePlace(key)
	if err != nil {
		c.reject(key, err)
		return false, nil
	}
	if _, held := c.s.claims.key(p.id); held {
		return false, nil
	}
	if len(c.taken) >= c.n || p.due.After(c.now) {
		c.next = p.due
		return true, nil
	}
	value, err := read()
	switch err := corrupt(err); {
	case errors.Is(err, relay.ErrCorrupt):
		c.reject(key, err)
		c.bad[len(c.bad)-1].lost = true
		return false, nil
	case errors.Is(err, pebble.ErrNotFound): // its location alone was left
		return false, nil
	case err != nil:
		return false, err
	}
	d, err := c.s.codec.decodeDelivery(p, value)
	if err != nil {
		c.reject(key, err)
		return false, nil
	}
	if c.s.claims.take(p.id, string(key)) {
		d.Claimed = true
		c.taken = append(c.taken, d)
	}
	return false, nil
}

func (c *claim) reject(key []byte, err error) {
	c.bad = append(c.bad, badRecord{key: bytes.Clone(key), err: err})
}

// ClaimMessage claims what is neither claimed nor held of a message.
func (s *Spool) ClaimMessage(ctx context.Context, id relay.ID) ([]relay.Delivery, error) {
	return s.claimMessage(ctx, id, spaceQueue)
}

// ClaimHeld claims what is held of a message.
func (s *Spool) ClaimHeld(ctx context.Context, id relay.ID) ([]relay.Delivery, error) {
	return s.claimMessage(ctx, id, spaceHeld)
}

// claimMessage claims what lies in the space.
func (s *Spool) claimMessage(ctx context.Context, id relay.ID, space byte) ([]relay.Delivery, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	if err := s.broken(); err != nil {
		return nil, err
	}
	unlock, err := s.messages.lock(ctx, id)
	if err != nil {
		return nil, err
	}
	defer unlock()
	locations, err := s.locations(id)
	if err != nil {
		return nil, fmt.Errorf("claim message %s: %w", id, err)
	}
	var ds []relay.Delivery
	for _, l := range locations {
		if l.queueKey[0] != space || !s.claims.take(l.id, string(l.queueKey)) {
			continue
		}
		d, err := s.delivery(l)
		switch {
		case errors.Is(err, relay.ErrCorrupt):
			s.claims.drop(l.id)
			s.setAside(l.queueKey, err)
		case errors.Is(err, pebble.ErrNotFound): // set aside before
			s.claims.drop(l.id)
		case err != nil:
			s.claims.drop(l.id)
			s.giveUp(ds)
			return nil, fmt.Errorf("claim message %s: %w", id, err)
		default:
			d.Claimed = true
			ds = append(ds, d)
		}
	}
	return ds, nil
}

// Release gives up claims.
func (s *Spool) Release(ds ...relay.Delivery) { s.giveUp(ds) }

func (s *Spool) giveUp(ds []relay.Delivery) {
	for _, d := range ds {
		if key, ok := s.claims.mine(d.DeliveryID); ok {
			s.release(d.DeliveryID, key)
		}
	}
}

// release drops the claim of a delivery that stays where it is.
func (s *Spool) release(id relay.DeliveryID, key string) {
	s.dropClaim(id, key, true)
}

// retire drops the claim of a delivery whose key has been removed.
func (s *Spool) retire(id relay.DeliveryID, key string) {
	s.dropClaim(id, key, false)
}

func (s *Spool) dropClaim(id relay.DeliveryID, key string, stays bool) {
	bin := binOf(key)
	t := s.bins.stripe(bin)
	t.mu.Lock()
	defer t.mu.Unlock()
	s.claims.drop(id)
	if stays {
		t.lower(bin, key)
	}
}

// appear makes a delivery known that has been written and that nobody holds.
func (s *Spool) appear(key string) {
	bin := binOf(key)
	t := s.bins.stripe(bin)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lower(bin, key)
}
