package relay

import (
	"cmp"
	"slices"
	"time"
)

// BinStatus is what an operator can see of a bin: how it stands, and why.
type BinStatus struct {
	To Destination
	// Loaded and Away count the deliveries in memory and those being attempted.
	Loaded, Away int
	// Site is the key of the site that the destination resolves to; "" before that.
	Site string
	// Connections, Idle and Window are the site's.
	Connections, Idle, Window int
	// Paused is the operators' order to deliver nothing; nil when there is none.
	Paused *Pause
	// Closed says that the gate is closed for Reason until the next probe.
	Closed bool
	Until  time.Time
	Reason Reply
	// Doing is what is going on, and Moved when a delivery last set off or was loaded; zero when
	// none has been.
	Doing Doing
	Moved time.Time
	// Next is when what waits in the spool is to be loaded next; zero when nothing is.
	Next time.Time
	// Oldest is since when the delivery waits that has waited longest of those that are not deferred,
	// up to a second ago; zero when none waits. StatusOf tells it.
	Oldest time.Time
}

// Status shows all bins, by destination.
func (s *Scheduler) Status() []BinStatus {
	s.mu.Lock()
	now := s.o.Now()
	all := make([]BinStatus, 0, len(s.bins))
	for _, b := range s.bins {
		all = append(all, b.statusAt(now))
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b BinStatus) int {
		return cmp.Or(cmp.Compare(a.To.Route, b.To.Route), cmp.Compare(a.To.Domain, b.To.Domain))
	})
	return all
}

// StatusOf shows the bin of a destination; false when it has none.
func (s *Scheduler) StatusOf(to Destination) (BinStatus, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bins[to]
	if b == nil {
		return BinStatus{To: to}, false
	}
	now := s.o.Now()
	st := b.statusAt(now)
	st.Oldest = b.oldest(now)
	return st, true
}

// statusAt is the status with what is going on.
func (b *bin) statusAt(now time.Time) BinStatus {
	st := b.status()
	st.Doing, st.Moved = b.doing(now), b.moved
	return st
}

func (b *bin) status() BinStatus {
	st := BinStatus{To: b.to, Loaded: b.count, Away: b.away, Next: b.due(), Paused: b.paused}
	closed := &b.gate
	if p := b.pool; p != nil {
		st.Site = p.site.Key
		st.Connections, st.Idle, st.Window = p.connected, len(p.idle), p.window.limit()
		if b.gate.open() {
			closed = &p.gate
		}
	}
	if !closed.open() {
		st.Closed, st.Until, st.Reason = true, closed.until, closed.reply
	}
	return st
}
