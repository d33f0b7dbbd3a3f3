package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"postrider/relay"
)

// A block that the disk does not give back stops every iterator that meets it, and what lies
// behind it with what lies in it. The location of each delivery leads past it: a delivery that can
// be read by its key is not lost for one beside it that cannot. That costs a walk through all
// locations, so it is the way only where the other has failed.

// byLocation gives the first n keys of deliveries in a range that locations lead to, in order.
func (s *Spool) byLocation(ctx context.Context, lower, upper []byte, n int) (found [][]byte, err error) {
	next := []byte(s.located.begin())
	for {
		page, err := s.pairs(ctx, next, after([]byte{spaceDelivery}))
		if err != nil {
			return nil, err
		}
		for _, p := range page {
			if bytes.Compare(p.value, lower) >= 0 && bytes.Compare(p.value, upper) < 0 {
				found = append(found, p.value)
			}
		}
		if len(page) < pageSize {
			return smallest(found, n), nil
		}
		if len(found) > 4*n {
			found = smallest(found, n)
		}
		next = append(page[len(page)-1].key, 0)
	}
}

func smallest(keys [][]byte, n int) [][]byte {
	slices.SortFunc(keys, bytes.Compare)
	return keys[:min(n, len(keys))]
}

// around is keysUpTo for a range of deliveries of which the disk does not give back all. What
// it does not give back is set aside.
func (s *Spool) around(ctx context.Context, lower, upper []byte, n int) (found [][]byte, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	for {
		var bad []badRecord
		keys, err := s.byLocation(ctx, lower, upper, pageSize)
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			there, err := s.readable(key)
			switch {
			case errors.Is(err, relay.ErrCorrupt):
				bad = append(bad, badRecord{key: key, err: err, lost: true})
			case err != nil:
				return nil, err
			case there:
				found = append(found, key)
			}
			if len(found) == n {
				break
			}
		}
		s.setAsideAll(bad)
		if len(found) == n || len(keys) < pageSize {
			return found, nil
		}
		lower = append(keys[len(keys)-1], 0)
	}
}

// readable says whether a delivery is there. Who has claimed it has read it.
func (s *Spool) readable(key []byte) (bool, error) {
	if p, _, err := parsePlace(key); err == nil {
		if at, held := s.claims.key(p.id); held && at == string(key) {
			return true, nil
		}
	}
	_, err := s.get(key)
	if errors.Is(err, pebble.ErrNotFound) { // set aside before, or gone since
		return false, nil
	}
	return err == nil, err
}

// goAround goes on with a claim in a bin of which the disk does not give back a block. The
// stripe is locked.
func (c *claim) goAround(ctx context.Context, t *binStripe, end []byte) error {
	from := t.bound(c.prefix)
	for {
		keys, err := c.s.byLocation(ctx, from, end, pageSize)
		if err != nil {
			return err
		}
		for _, key := range keys {
			stop, err := c.visit(key, func() ([]byte, error) { return c.s.get(key) })
			if err != nil {
				return err
			}
			if stop {
				t.raise(c.prefix, key)
				return nil
			}
		}
		if len(keys) < pageSize {
			t.raise(c.prefix, end)
			return nil
		}
		if len(c.bad) > 0 { // those first, so that there are never too many
			c.next = c.now
			return nil
		}
		from = append(keys[len(keys)-1], 0)
	}
}

// setAsideAll moves records to the quarantine that were met on the way, and reports them once.
func (s *Spool) setAsideAll(bad []badRecord) {
	if len(bad) <= 1 {
		for _, b := range bad {
			s.setAside(b.key, b.err)
		}
		return
	}
	f := relay.Fault{
		Doing: "read records of the spool, which were set aside",
		Err:   fmt.Errorf("%d of them, the first with the key %x: %w", len(bad), bad[0].key, bad[0].err),
	}
	b := s.db.NewBatch()
	var err error
	for _, r := range bad {
		if r.lost { // to try again takes as long as before: the database looks for the bit that flipped
			err = errors.Join(err, s.addAside(b, r.key, nil, r.err.Error()))
		} else {
			err = errors.Join(err, s.addQuarantined(b, r.key, r.err.Error()))
		}
	}
	if err != nil {
		err = errors.Join(err, b.Close())
	} else {
		err = s.apply(b, pebble.NoSync)
	}
	f.Err = errors.Join(f.Err, err)
	s.o.Fault(f)
}
