package relaytest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"sync"
	"time"

	"postrider/relay"
)

// Spool is a relay.Spool in memory. What tests want to see beyond the port is in its
// exported fields and methods.
type Spool struct {
	mu         sync.Mutex
	messages   map[relay.ID]*stored
	aside      map[relay.ID]string
	full       error
	failSettle error
}

// stored is a message with what is left of it to do.
type stored struct {
	message  relay.Message
	body     []byte
	parts    map[uint32]relay.Delivery
	claimed  map[uint32]bool
	nextPart uint32
}

var _ relay.Spool = (*Spool)(nil)

// NewSpool returns an empty spool.
func NewSpool() *Spool {
	return &Spool{messages: make(map[relay.ID]*stored), aside: make(map[relay.ID]string)}
}

// Refuse makes the spool refuse new mail with the error, until it is nil again.
func (s *Spool) Refuse(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full = err
}

// FailSettle makes Settle fail with the error, until it is nil again.
func (s *Spool) FailSettle(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failSettle = err
}

// Quarantined gives the messages that were set aside, with the reasons.
func (s *Spool) Quarantined() map[relay.ID]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[relay.ID]string, len(s.aside))
	for id, reason := range s.aside {
		all[id] = reason
	}
	return all
}

// Admit says no while Refuse says so.
func (s *Spool) Admit(int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.full
}

// Create starts a draft.
func (s *Spool) Create(ctx context.Context) (relay.Draft, error) {
	return &draft{s: s}, ctx.Err()
}

// Claim claims what is due in a bin and flow.
func (s *Spool) Claim(ctx context.Context, to relay.Destination, flow relay.Flow, now time.Time, n int) ([]relay.Delivery, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var bin []relay.Delivery
	for _, m := range s.messages {
		for part, d := range m.parts {
			if d.To == to && d.Flow == flow && d.Held == "" && !m.claimed[part] {
				bin = append(bin, d)
			}
		}
	}
	slices.SortFunc(bin, byDue)
	var ds []relay.Delivery
	for _, d := range bin {
		if len(ds) >= n || d.Due.After(now) {
			return ds, d.Due, ctx.Err()
		}
		ds = append(ds, s.claim(d))
	}
	return ds, time.Time{}, ctx.Err()
}

func (s *Spool) claim(d relay.Delivery) relay.Delivery {
	s.messages[d.Message].claimed[d.Part] = true
	d = cloned(d)
	d.Claimed = true
	return d
}

// ClaimMessage claims what is neither claimed nor held of a message.
func (s *Spool) ClaimMessage(ctx context.Context, id relay.ID) ([]relay.Delivery, error) {
	return s.claimMessage(ctx, id, false)
}

// ClaimHeld claims what is held of a message.
func (s *Spool) ClaimHeld(ctx context.Context, id relay.ID) ([]relay.Delivery, error) {
	return s.claimMessage(ctx, id, true)
}

func (s *Spool) claimMessage(ctx context.Context, id relay.ID, held bool) ([]relay.Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ds []relay.Delivery
	for _, d := range s.left(id) {
		if (d.Held != "") == held && !s.messages[id].claimed[d.Part] {
			ds = append(ds, s.claim(d))
		}
	}
	return ds, ctx.Err()
}

// left gives the deliveries of a message in order of their parts.
func (s *Spool) left(id relay.ID) []relay.Delivery {
	var ds []relay.Delivery
	if m, ok := s.messages[id]; ok {
		for _, d := range m.parts {
			ds = append(ds, cloned(d))
		}
	}
	slices.SortFunc(ds, func(a, b relay.Delivery) int { return cmp.Compare(a.Part, b.Part) })
	return ds
}

// Release gives up claims.
func (s *Spool) Release(ds ...relay.Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range ds {
		if m, ok := s.messages[d.Message]; ok {
			delete(m.claimed, d.Part)
		}
	}
}

// Claims counts what is claimed.
func (s *Spool) Claims() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, m := range s.messages {
		n += len(m.claimed)
	}
	return n
}

// errUnclaimed is the answer to who settles what he does not hold.
var errUnclaimed = errors.New("the delivery is not claimed")

// Settle ends an attempt.
func (s *Spool) Settle(ctx context.Context, sts ...relay.Settlement) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failSettle != nil {
		return s.failSettle
	}
	for _, st := range sts {
		if err := s.checkSettlement(ctx, st, sts[0].Delivery.Message); err != nil {
			return err
		}
	}
	for _, st := range sts {
		m := s.messages[st.Delivery.Message]
		m.settle(st)
		for _, n := range st.Notices {
			s.add(n.Message, bytes.Clone(n.Body), n.Deliveries)
		}
		if len(m.parts) == 0 {
			delete(s.messages, m.message.ID)
		}
	}
	return nil
}

// errMixed refuses to settle deliveries of several messages at once.
var errMixed = errors.New("settlements of more than one message")

func (s *Spool) checkSettlement(ctx context.Context, st relay.Settlement, id relay.ID) error {
	m, ok := s.messages[st.Delivery.Message]
	switch {
	case st.Delivery.Message != id:
		return errMixed
	case !ok || !m.claimed[st.Delivery.Part]:
		return errors.Join(errUnclaimed, relay.ErrNotFound)
	case ctx.Err() != nil:
		return ctx.Err()
	}
	for _, n := range st.Notices {
		if err := s.check(n.Message, n.Deliveries); err != nil {
			return err
		}
	}
	return nil
}

func (m *stored) settle(st relay.Settlement) {
	part := st.Delivery.Part
	sole := m.parts[part].Sole && len(st.Then) < 2
	delete(m.parts, part)
	delete(m.claimed, part)
	for i, d := range st.Then {
		d = cloned(d)
		d.Message, d.Sole = m.message.ID, sole
		if d.Part = part; i > 0 {
			d.Part = m.nextPart
			m.nextPart++
		}
		m.parts[d.Part] = d
	}
}

// Message returns a message's record.
func (s *Spool) Message(ctx context.Context, id relay.ID) (*relay.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.messages[id]
	if !ok {
		return nil, relay.ErrNotFound
	}
	message := clonedMessage(&m.message)
	return &message, ctx.Err()
}

// Body opens a message's body.
func (s *Spool) Body(ctx context.Context, m *relay.Message) (io.ReadSeekCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stored, ok := s.messages[m.ID]
	if !ok {
		return nil, relay.ErrNotFound
	}
	return body{bytes.NewReader(stored.body)}, ctx.Err()
}

type body struct{ *bytes.Reader }

func (body) Close() error { return nil }

// Bins yields each bin and flow.
func (s *Spool) Bins(ctx context.Context, from relay.BinHead) iter.Seq2[relay.BinHead, error] {
	return func(yield func(relay.BinHead, error) bool) {
		var heads []relay.BinHead
		for _, d := range s.all() {
			h := relay.BinHead{To: d.To, Flow: d.Flow, Due: d.Due}
			if d.Held == "" && byBin(h, from) >= 0 {
				heads = append(heads, h)
			}
		}
		slices.SortFunc(heads, func(a, b relay.BinHead) int { return cmp.Or(byBin(a, b), a.Due.Compare(b.Due)) })
		heads = slices.CompactFunc(heads, func(a, b relay.BinHead) bool { return byBin(a, b) == 0 })
		for _, h := range heads {
			if !yield(h, ctx.Err()) {
				return
			}
		}
	}
}

func byBin(a, b relay.BinHead) int {
	return cmp.Or(cmp.Compare(a.To.Route, b.To.Route), cmp.Compare(a.To.Domain, b.To.Domain), cmp.Compare(a.Flow, b.Flow))
}

// all gives all deliveries in order of arrival.
func (s *Spool) all() []relay.Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ds []relay.Delivery
	for _, id := range s.ids() {
		ds = append(ds, s.left(id)...)
	}
	return ds
}

// ids gives all messages in order of arrival.
func (s *Spool) ids() []relay.ID {
	var ids []relay.ID
	for id := range s.messages {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, byID)
	return ids
}

// Arrived yields messages in order of arrival.
func (s *Spool) Arrived(ctx context.Context, from relay.ID) iter.Seq2[relay.ID, error] {
	return func(yield func(relay.ID, error) bool) {
		s.mu.Lock()
		ids := s.ids()
		s.mu.Unlock()
		for _, id := range ids {
			if byID(id, from) >= 0 && !yield(id, ctx.Err()) {
				return
			}
		}
	}
}

// Deliveries returns what a message has left.
func (s *Spool) Deliveries(ctx context.Context, id relay.ID) ([]relay.Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.left(id), ctx.Err()
}

// List yields all deliveries in order of arrival.
func (s *Spool) List(ctx context.Context, from relay.ID) iter.Seq2[relay.Delivery, error] {
	return func(yield func(relay.Delivery, error) bool) {
		for _, d := range s.all() {
			if byID(d.Message, from) >= 0 && !yield(d, ctx.Err()) {
				return
			}
		}
	}
}

// Quarantine sets a message aside.
func (s *Spool) Quarantine(ctx context.Context, id relay.ID, reason string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.messages[id]; !ok {
		return relay.ErrNotFound
	}
	delete(s.messages, id)
	s.aside[id] = reason
	return ctx.Err()
}

// errArrival refuses what cannot be queued.
var errArrival = errors.New("message without a delivery, or with one that is there already")

func (s *Spool) check(m *relay.Message, ds []relay.Delivery) error {
	parts := make(map[uint32]bool)
	for _, d := range ds {
		parts[d.Part] = true
	}
	if _, ok := s.messages[m.ID]; ok || len(ds) == 0 || len(parts) < len(ds) {
		return errArrival
	}
	return nil
}

func (s *Spool) add(m *relay.Message, body []byte, ds []relay.Delivery) {
	a := &stored{
		message: clonedMessage(m), body: body,
		parts: make(map[uint32]relay.Delivery), claimed: make(map[uint32]bool),
		nextPart: uint32(len(ds)),
	}
	for _, d := range ds {
		if d.Claimed {
			a.claimed[d.Part] = true
		}
		d = cloned(d)
		d.Message, d.Sole = m.ID, len(ds) == 1
		a.parts[d.Part] = d
		a.nextPart = max(a.nextPart, d.Part+1)
	}
	s.messages[m.ID] = a
}

// cloned is a delivery as it is stored: claims and causes are not.
func cloned(d relay.Delivery) relay.Delivery {
	d.Recipients = slices.Clone(d.Recipients)
	d.Claimed = false
	d.Last.Err = nil
	return d
}

func clonedMessage(m *relay.Message) relay.Message {
	c := *m
	c.Header = bytes.Clone(m.Header)
	c.Envelope.Recipients = slices.Clone(m.Envelope.Recipients)
	c.Tags, c.Trace = slices.Clone(m.Tags), slices.Clone(m.Trace)
	return c
}

func byID(a, b relay.ID) int { return bytes.Compare(a[:], b[:]) }

func byDue(a, b relay.Delivery) int {
	return cmp.Or(a.Due.Compare(b.Due), byID(a.Message, b.Message), cmp.Compare(a.Part, b.Part))
}
