package relay

import (
	"context"
	"slices"
)

// withdraw takes deliveries that wait in memory out of their bins. They are claimed, and
// count as away until they land. Those that somebody works on are not among them.
func (s *Scheduler) withdraw(ds []Delivery) []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	var mine []Delivery
	for _, d := range ds {
		b := s.bins[d.To]
		if b == nil {
			continue
		}
		d, ok := b.take(d)
		if !ok {
			continue
		}
		if b.count == 0 && b.pool != nil {
			b.pool.leave(b)
		}
		mine = append(mine, d)
	}
	return mine
}

// take is pop for a delivery of the caller's choice.
func (b *bin) take(want Delivery) (Delivery, bool) {
	f := b.flows[want.Flow]
	if f == nil {
		return Delivery{}, false
	}
	i := slices.IndexFunc(f.queue, func(d Delivery) bool { return d.DeliveryID == want.DeliveryID })
	if i < 0 {
		return Delivery{}, false
	}
	d := f.queue[i]
	f.queue = slices.Delete(f.queue, i, i+1)
	b.vacate(&d)
	b.count--
	b.away++
	b.review(f)
	return d, true
}

// claimMessage claims what is free of a message, past the bins. Those of its deliveries are kept
// meanwhile: one that finds nothing in the spool would be forgotten, and with it what is known of its
// site.
func (s *Scheduler) claimMessage(ctx context.Context, id ID, all []Delivery) ([]Delivery, error) {
	waiting := slices.DeleteFunc(slices.Clone(all), func(d Delivery) bool { return d.Held != "" })
	s.tookAll(waiting)
	defer s.passAll(waiting)
	free, err := s.o.Spool.ClaimMessage(ctx, id)
	if err != nil {
		return nil, err
	}
	s.tookAll(free)
	return free, nil
}

// passAll ends that deliveries count as away which were not taken.
func (s *Scheduler) passAll(ds []Delivery) {
	for _, d := range ds {
		s.landed(d)
	}
}

// tookAll counts deliveries as away that were claimed past their bins.
func (s *Scheduler) tookAll(ds []Delivery) {
	for _, d := range ds {
		s.taken(d)
	}
}

// noteAll remembers deliveries that are in the spool now, unclaimed.
func (s *Scheduler) noteAll(ds []Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note(ds...)
}

// probeNow lets the destination be tried at once, also where its gate is closed. The
// failures so far still count, so that one more try that fails does no harm.
func (s *Scheduler) probeNow(to Destination) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bins[to]
	if b == nil {
		return
	}
	now := s.o.Now()
	if !b.gate.open() && b.gate.until.After(now) {
		b.gate.until = now
	}
	if p := b.pool; p != nil && !p.gate.open() && p.gate.until.After(now) {
		p.gate.until = now
		s.setPoolAlarm(p, now)
	}
	s.advance(b)
}
