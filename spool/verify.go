package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"postrider/relay"
)

// Verified is what Verify has found.
type Verified struct {
	Messages, Deliveries, Held, Aside int
	// Bytes are those of the bodies, all of which were read.
	Bytes int64
	// Faults says what is wrong, the first MaxFaults of it; Wrong counts all.
	Faults []string
	Wrong  int
}

// MaxFaults bounds what Verify describes.
const MaxFaults = 100

// Verify reads the whole spool and checks that it is whole: each message decodes and has its
// body and a delivery, each delivery its message and recipients, and each key its counterpart.
// It changes nothing. Mail should not move meanwhile, or what is on its way looks wrong. It takes memory
// for the names of long bodies. Progress is told how many records have been read; nil means nobody is.
func (s *Spool) Verify(ctx context.Context, progress func(records int)) (*Verified, error) {
	if progress == nil {
		progress = func(int) {}
	}
	v := &verifier{s: s, ctx: ctx, progress: progress, bodies: make(map[relay.ID]bool), found: new(Verified)}
	for _, part := range []struct {
		space byte
		check func(pair) error
	}{
		{spaceMessage, v.message}, {spaceDelivery, v.location}, {spaceQueue, v.delivery}, {spaceHeld, v.delivery},
		{spaceDraft, v.draft}, {spaceQuarantine, v.aside}, {spaceBody, v.chunk},
	} {
		if err := v.each(part.space, part.check); err != nil {
			return nil, fmt.Errorf("verify the spool: %w", err)
		}
	}
	return v.found, nil
}

type verifier struct {
	s        *Spool
	ctx      context.Context
	progress func(int)
	records  int
	found    *Verified
	// bodies are those that have a name of their own.
	bodies map[relay.ID]bool
	// last is the body whose owner was looked for last; nil before the first.
	last *relay.ID
}

func (v *verifier) fault(format string, args ...any) {
	v.found.Wrong++
	if len(v.found.Faults) < MaxFaults {
		v.found.Faults = append(v.found.Faults, fmt.Sprintf(format, args...))
	}
}

// verifyPage is how many records are read at once: bodies are among them.
const verifyPage = 16

// each checks all records of a space.
func (v *verifier) each(space byte, check func(pair) error) error {
	next := []byte{space}
	for {
		page, err := v.page(next, after([]byte{space}))
		if err != nil {
			return err
		}
		for _, p := range page {
			if err := check(p); err != nil {
				return err
			}
		}
		v.records += len(page)
		v.progress(v.records)
		if len(page) < verifyPage {
			return nil
		}
		next = append(page[len(page)-1].key, 0)
	}
}

func (v *verifier) page(lower, upper []byte) ([]pair, error) {
	if err := v.s.enter(v.ctx); err != nil {
		return nil, err
	}
	defer v.s.leave()
	keys, err := v.s.keysUpTo(lower, upper, verifyPage)
	if err != nil {
		return nil, err
	}
	page := make([]pair, len(keys))
	for i, key := range keys {
		value, err := v.s.get(key)
		switch {
		case errors.Is(err, relay.ErrCorrupt):
			v.fault("%x: %v", key, err)
		case err != nil && !errors.Is(err, pebble.ErrNotFound):
			return nil, err
		}
		page[i] = pair{key, value}
	}
	return page, nil
}

// has looks for a record.
func (v *verifier) has(key []byte) ([]byte, error) {
	value, err := v.s.get(key)
	if errors.Is(err, pebble.ErrNotFound) || errors.Is(err, relay.ErrCorrupt) {
		return nil, nil
	}
	return value, err
}

func (v *verifier) message(p pair) error {
	v.found.Messages++
	if len(p.key) != 1+len(relay.ID{}) {
		v.fault("message with the malformed key %x", p.key)
		return nil
	}
	id := relay.ID(p.key[1:])
	m, l, err := v.s.codec.decodeMessage(id, p.value)
	if err != nil {
		v.fault("message %s: %v", id, err)
		return nil
	}
	if l.body != id {
		v.bodies[l.body] = true
	}
	v.found.Bytes += l.length
	if m.Size != int64(len(m.Header))+l.length {
		v.fault("message %s: has %d bytes and says %d", id, int64(len(m.Header))+l.length, m.Size)
	}
	for n := range int64(l.chunks) {
		piece, err := v.has(chunkKey(l.body, uint32(n)))
		if err != nil {
			return err
		}
		if want := min(l.length-n*chunkSize, chunkSize); int64(len(piece)) != want {
			v.fault("message %s: piece %d of its body has %d bytes, not %d", id, n, len(piece), want)
		}
	}
	locations, err := v.s.locations(id)
	if err != nil {
		return err
	}
	if len(locations) == 0 {
		v.fault("message %s: has no delivery", id)
	}
	for _, at := range locations {
		if err := v.recipients(m, at); err != nil {
			return err
		}
	}
	return nil
}

// recipients checks a delivery against its message.
func (v *verifier) recipients(m *relay.Message, at location) error {
	value, err := v.has(at.queueKey)
	if err != nil || value == nil {
		return err // location tells of it
	}
	place, _, err := parsePlace(at.queueKey)
	if err != nil {
		return nil // and of this
	}
	d, err := v.s.codec.decodeDelivery(place, value)
	if err != nil {
		v.fault("delivery %s: %v", at.id, err)
	}
	for _, k := range d.Recipients {
		if k >= len(m.Envelope.Recipients) {
			v.fault("delivery %s: recipient %d of %d", at.id, k, len(m.Envelope.Recipients))
		}
	}
	return nil
}

func (v *verifier) location(p pair) error {
	id, err := parseLocation(p.key)
	if err != nil {
		v.fault("location with the malformed key %x", p.key)
		return nil
	}
	place, _, err := parsePlace(p.value)
	if err != nil || place.id != id || !bytes.Equal(place.locationKey(), p.key) {
		v.fault("location of %s: leads to %x", id, p.value)
		return nil
	}
	record, err := v.has(p.value)
	if err == nil && record == nil {
		// What was set aside alone leaves its location, so that its message stays.
		record, err = v.has(append([]byte{spaceQuarantine}, p.value...))
	}
	if err == nil && record == nil {
		v.fault("delivery %s: is not where its location says", id)
	}
	return err
}

func (v *verifier) delivery(p pair) error {
	v.found.Deliveries++
	place, _, err := parsePlace(p.key)
	if err != nil {
		v.fault("delivery with the malformed key %x", p.key)
		return nil
	}
	if place.held {
		v.found.Held++
	}
	location, err := v.has(place.locationKey())
	if err != nil {
		return err
	}
	if !bytes.Equal(location, p.key) {
		v.fault("delivery %s: its location says %x", place.id, location)
	}
	message, err := v.has(messageKey(place.id.Message))
	if err == nil && message == nil {
		v.fault("delivery %s: has no message", place.id)
	}
	return err
}

func (v *verifier) draft(p pair) error {
	if len(p.key) == 1+len(relay.ID{}) {
		v.bodies[relay.ID(p.key[1:])] = true
	}
	return nil
}

// chunk looks for the owner of a piece of a body.
func (v *verifier) chunk(p pair) error {
	body, n, err := parseNumbered(p.key)
	if err != nil {
		v.fault("body with the malformed key %x", p.key)
		return nil
	}
	if v.bodies[body] || v.last != nil && *v.last == body {
		return nil
	}
	v.last = &body
	for _, key := range [][]byte{messageKey(body), append([]byte{spaceQuarantine}, messageKey(body)...)} {
		owner, err := v.has(key)
		if err != nil || owner != nil {
			return err
		}
	}
	v.fault("body %s: piece %d belongs to no message", body, n)
	return nil
}

// aside counts, and notes the body of a message that was set aside.
func (v *verifier) aside(p pair) error {
	v.found.Aside++
	var r quarantineRecord
	if err := v.s.codec.decode(p.value, 0, &r); err != nil {
		v.fault("record set aside %x: %v", p.key, err)
		return nil
	}
	if _, what := belongs(p.key[1:]); what == "message" {
		if l, err := decodeLayout(r.Raw); err == nil {
			v.bodies[l.body] = true
		}
	}
	return nil
}
