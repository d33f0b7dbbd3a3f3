package relay

import (
	"cmp"
	"slices"
	"time"
)

// Phase is what a connection does.
type Phase uint8

// The phases of a connection.
const (
	// PhaseOpening is being opened.
	PhaseOpening Phase = iota + 1
	// PhaseLoading is open, and its next delivery is read from the spool or put down there.
	PhaseLoading
	// PhaseCarrying is in the middle of an attempt.
	PhaseCarrying
	// PhaseIdle waits for a delivery.
	PhaseIdle
)

var phaseWords = [...]string{"", "opening", "loading", "carrying", "idle"}

// String gives the phase's word.
func (p Phase) String() string { return phaseWords[p] }

// ConnectionStatus is what a connection does, and since when.
type ConnectionStatus struct {
	Phase Phase
	// Since is when the phase began.
	Since time.Time
	// Delivery is what is being attempted, while it is.
	Delivery DeliveryID
	// WrittenOff says that the connection has not moved for long and does not count any more.
	WrittenOff bool
}

// enter says that the courier begins something else. The Scheduler's mu is held.
func (c *courier) enter(p Phase, now time.Time) { c.phase, c.since = p, now }

// ConnectionsOf shows the connections to the site of a destination, the longest in their phase
// first.
func (s *Scheduler) ConnectionsOf(to Destination) []ConnectionStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bins[to]
	if b == nil || b.pool == nil {
		return nil
	}
	var all []ConnectionStatus
	for c := range b.pool.crew {
		v := ConnectionStatus{Phase: c.phase, Since: c.since, WrittenOff: c.writtenOff}
		if c.phase == PhaseCarrying {
			v.Delivery = c.carries
		}
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b ConnectionStatus) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Phase, b.Phase))
	})
	return all
}

// Doing says in a word or two what is going on with a bin.
type Doing string

// What may be going on with a bin, the first that applies.
const (
	DoingPaused     Doing = "paused"
	DoingLookUp     Doing = "looking up"
	DoingNotFound   Doing = "not found"
	DoingCutOff     Doing = "unreachable"
	DoingDelivering Doing = "delivering"
	DoingLoading    Doing = "loading"
	DoingLimited    Doing = "limited"
	DoingQueued     Doing = "queued"
	DoingWaiting    Doing = "waiting"
	DoingNothing    Doing = "empty"
)

// doing is what is going on with the bin.
func (b *bin) doing(now time.Time) Doing {
	due := b.due()
	switch p := b.pool; {
	case b.paused != nil:
		return DoingPaused
	case b.resolving:
		return DoingLookUp
	case !b.gate.open():
		return DoingNotFound
	case p != nil && p.shut():
		return DoingCutOff
	case b.away > 0:
		return DoingDelivering
	case b.refilling:
		return DoingLoading
	case b.limited():
		return DoingLimited
	case b.count > 0 || !due.IsZero() && !due.After(now):
		return DoingQueued
	case !due.IsZero():
		return DoingWaiting
	}
	return DoingNothing
}
