package admin

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"postrider/relay"
)

// Events passes facts on to those who watch, as an Observer. Nobody who reads slowly holds
// up mail: each reader has a buffer of its own, misses what does not fit, and is told how
// much that was. While nobody watches, a fact costs one atomic load.
type Events struct {
	now func() time.Time

	// pass is given every event, where it is set.
	pass func(*Event)
	// complaints are kept whether somebody watches or not.
	complaints *complaints

	watched atomic.Int32
	mu      sync.Mutex
	readers map[*reader]struct{}
}

var _ relay.Observer = (*Events)(nil)

// NewEvents returns an Events without readers.
func NewEvents(now func() time.Time) *Events {
	return &Events{now: now, complaints: newComplaints(now), readers: make(map[*reader]struct{})}
}

// Pass has every event given to a function, which must not block. It is set once, before
// anything happens.
func (s *Events) Pass(to func(*Event)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pass = to
	s.count()
}

// count says whether anybody watches.
func (s *Events) count() {
	n := len(s.readers)
	if s.pass != nil {
		n++
	}
	s.watched.Store(int32(n))
}

// EventFilter selects events. An empty field selects all; in those that are patterns * stands
// for any characters.
type EventFilter struct {
	// Events are words of EventWords.
	Events []string
	ID     string
	// From, To, Destination, User and Client are patterns.
	From, To, Destination, User, Client string
}

func (f *EventFilter) matches(e *Event) bool {
	return (len(f.Events) == 0 || slices.Contains(f.Events, e.Event)) &&
		(f.ID == "" || f.ID == e.ID) &&
		relay.Like(f.From, e.From) && relay.Like(f.To, e.To) && relay.Like(f.Destination, e.Destination) &&
		relay.Like(f.User, e.User) && relay.Like(f.Client, e.Client)
}

// readerBuffer is how many events a reader may be behind.
const readerBuffer = 4096

// reader is one who watches.
type reader struct {
	filter EventFilter
	events chan Event
	lost   atomic.Int64
}

// subscribe adds a reader. Whoever does so calls unsubscribe at the end.
func (s *Events) subscribe(f EventFilter, buffer int) *reader {
	r := &reader{filter: f, events: make(chan Event, buffer)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readers[r] = struct{}{}
	s.count()
	return r
}

func (s *Events) unsubscribe(r *reader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.readers, r)
	s.count()
}

// publish hands events to all who want them and have room.
func (s *Events) publish(events ...Event) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range events {
		events[i].Time = now
		if s.pass != nil {
			s.pass(&events[i])
		}
		for r := range s.readers {
			r.offer(&events[i])
		}
	}
}

func (r *reader) offer(e *Event) {
	if !r.filter.matches(e) {
		return
	}
	select {
	case r.events <- *e:
	default:
		r.lost.Add(1)
	}
}

// Accepted publishes the fact.
func (s *Events) Accepted(e relay.Accepted) {
	if s.watched.Load() > 0 {
		s.publish(acceptedEvent(&e))
	}
}

// Refused publishes the fact.
func (s *Events) Refused(e relay.Refused) {
	if s.watched.Load() > 0 {
		s.publish(refusedEvent(&e))
	}
}

// Attempted publishes the fact for each recipient.
func (s *Events) Attempted(e relay.Attempted) {
	s.complaints.take(&e)
	if s.watched.Load() > 0 {
		s.publish(attemptedEvents(&e)...)
	}
}

// Notified publishes the fact.
func (s *Events) Notified(e relay.Notified) {
	if s.watched.Load() > 0 {
		s.publish(notifiedEvent(&e))
	}
}

// Held publishes the fact for each recipient.
func (s *Events) Held(e relay.Held) {
	if s.watched.Load() > 0 {
		s.publish(heldEvents(&e)...)
	}
}

// Gated publishes the fact.
func (s *Events) Gated(e relay.Gated) {
	if s.watched.Load() > 0 {
		s.publish(gatedEvent(&e))
	}
}

// Faulted publishes the fact.
func (s *Events) Faulted(e relay.Fault) {
	if s.watched.Load() > 0 {
		s.publish(faultEvent(&e))
	}
}
