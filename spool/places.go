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

// Pages of places are read whole before any is yielded, the first of them small for who wants only a
// few, and each larger than the one before, because who goes on counts all of them.
const (
	firstPlaces  = 128
	morePlaces   = 4
	placesAtOnce = 4096
)

// Places yields where deliveries wait, from the keys alone.
func (s *Spool) Places(ctx context.Context, from relay.Place) iter.Seq2[relay.Place, error] {
	return func(yield func(relay.Place, error) bool) {
		w := placeWalk{s: s, size: firstPlaces}
		w.next = place{held: from.Held, to: from.To, flow: from.Flow, due: from.Due, id: from.DeliveryID}.key()
		for w.next != nil {
			if err := w.read(ctx); err != nil {
				yield(relay.Place{}, fmt.Errorf("list places: %w", err))
				return
			}
			for _, p := range w.found {
				if !yield(p, nil) {
					return
				}
			}
		}
	}
}

// placeWalk goes along the keys of all deliveries, those in the bins first.
type placeWalk struct {
	s     *Spool
	parse placeParser
	// next is where the next page begins; nil at the end.
	next []byte
	size int
	// found is the page, and bad what is none of our keys in it.
	found []relay.Place
	bad   []badRecord
}

// read reads the next page, which may be empty.
func (w *placeWalk) read(ctx context.Context) error {
	last, err := w.scan(ctx)
	if errors.Is(err, relay.ErrCorrupt) {
		last, err = w.around(ctx)
	}
	if err != nil {
		return err
	}
	for _, b := range w.bad {
		w.s.setAsideLater(ctx, b.key, b.err)
	}
	switch {
	case last != nil:
		w.next = append(last, 0)
		w.size = min(morePlaces*w.size, placesAtOnce)
	case w.next[0] == spaceQueue:
		w.next = []byte{spaceHeld}
	default:
		w.next = nil
	}
	return nil
}

// scan reads keys in one sweep, and gives the last where there may be more.
func (w *placeWalk) scan(ctx context.Context) (last []byte, err error) {
	if err := w.s.enter(ctx); err != nil {
		return nil, err
	}
	defer w.s.leave()
	it, err := w.s.db.NewIter(&pebble.IterOptions{LowerBound: w.next, UpperBound: after(w.next[:1])})
	if err != nil {
		return nil, corrupt(err)
	}
	defer func() { err = errors.Join(err, corrupt(it.Close())) }()
	w.begin()
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		w.add(it.Key())
		if n++; n == w.size {
			return bytes.Clone(it.Key()), nil
		}
	}
	return nil, corrupt(it.Error())
}

// around reads keys where the disk does not give back all.
func (w *placeWalk) around(ctx context.Context) (last []byte, err error) {
	keys, err := w.s.around(ctx, w.next, after(w.next[:1]), pageSize)
	if err != nil {
		return nil, err
	}
	w.begin()
	for _, key := range keys {
		w.add(key)
	}
	if len(keys) == pageSize {
		last = keys[len(keys)-1]
	}
	return last, nil
}

func (w *placeWalk) begin() {
	w.found, w.bad = w.found[:0], nil
}

func (w *placeWalk) add(key []byte) {
	p, err := w.parse.place(key)
	if err != nil {
		w.bad = append(w.bad, badRecord{key: bytes.Clone(key), err: err})
		return
	}
	w.found = append(w.found, relay.Place{Held: p.held, To: p.to, Flow: p.flow, Due: p.due, DeliveryID: p.id})
}

// placeParser parses keys of which most begin as the one before: the names of bin and flow are
// read once for all of their deliveries, and those of the bin are kept once for all of its flows.
type placeParser struct {
	prefix []byte
	last   place
}

func (r *placeParser) place(key []byte) (*place, error) {
	if len(r.prefix) > 0 && len(key) == len(r.prefix)+placeTail && bytes.HasPrefix(key, r.prefix) {
		r.last.readTail(key[len(r.prefix):])
		return &r.last, nil
	}
	p, prefix, err := parsePlace(key)
	if err != nil {
		return nil, err
	}
	if p.to == r.last.to {
		p.to = r.last.to
	}
	r.prefix, r.last = append(r.prefix[:0], prefix...), p
	return &r.last, nil
}
