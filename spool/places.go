package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

	"postrider/relay"
)

// Places yields where deliveries wait, from the keys alone.
func (s *Spool) Places(ctx context.Context, from relay.Place) iter.Seq2[relay.Place, error] {
	return func(yield func(relay.Place, error) bool) {
		var parse placeParser
		next := place{held: from.Held, to: from.To, flow: from.Flow, due: from.Due, id: from.DeliveryID}.key()
		for {
			keys, err := s.pageOf(ctx, next)
			if errors.Is(err, relay.ErrCorrupt) {
				keys, err = s.around(ctx, next, after(next[:1]), pageSize)
			}
			if err != nil {
				yield(relay.Place{}, fmt.Errorf("list places: %w", err))
				return
			}
			for _, key := range keys {
				p, err := parse.place(key)
				if err != nil {
					s.setAsideLater(ctx, key, err)
					continue
				}
				if !yield(relay.Place{Held: p.held, To: p.to, Flow: p.flow, Due: p.due, DeliveryID: p.id}, nil) {
					return
				}
			}
			switch {
			case len(keys) == pageSize:
				next = append(keys[len(keys)-1], 0)
			case next[0] == spaceQueue:
				next = []byte{spaceHeld}
			default:
				return
			}
		}
	}
}

// placeParser parses keys of which most begin as the one before: the names of bin and flow are
// read once for all of their deliveries.
type placeParser struct {
	prefix []byte
	last   place
}

func (r *placeParser) place(key []byte) (place, error) {
	if len(r.prefix) > 0 && len(key) == len(r.prefix)+placeTail && bytes.HasPrefix(key, r.prefix) {
		r.last.readTail(key[len(r.prefix):])
		return r.last, nil
	}
	p, prefix, err := parsePlace(key)
	if err == nil {
		r.prefix, r.last = prefix, p
	}
	return p, err
}

// pageOf reads the next keys of a space from lower on.
func (s *Spool) pageOf(ctx context.Context, lower []byte) ([][]byte, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	return s.keysUpTo(lower, after(lower[:1]), pageSize)
}
