package relay

import "time"

// advance does for the bin what can be done now and sets its alarm for what cannot. It is
// called after every change to the bin, and holds the rules of its life: deliveries due in
// the spool are loaded, a destination with deliveries in memory is resolved, a resolved one
// is served by its pool.
func (s *Scheduler) advance(b *bin) {
	if !s.running || s.stopped || b.closed {
		return
	}
	now := s.o.Now()
	s.refill(b, now)
	if b.count > 0 {
		s.dispatch(b, now)
	}
	if b.over() && !b.lingers() {
		s.remove(b)
		return
	}
	at := s.alarmFor(b, now)
	s.binAlarms.set(b.alarm, at)
	s.wakeTimer(at)
	if p := b.pool; p != nil && p.shut() {
		s.expectProbe(b, p, now)
	}
}

func (s *Scheduler) advanceAll(bs []*bin) {
	for _, b := range bs {
		s.advance(b)
	}
}

// alarmFor is when the bin is to be looked at again if nothing happens to it before. Zero
// means that only an event can bring it on.
func (s *Scheduler) alarmFor(b *bin, now time.Time) time.Time {
	busy := b.count+b.away > 0
	switch {
	case b.paused != nil:
		return time.Time{}
	case b.count > 0 && b.pool == nil && !b.resolving:
		return later(now, b.gate.until)
	case b.refilling || b.probing() && busy:
		return time.Time{}
	case !s.hasRoom(b):
		return s.alarmForRoom(b, now, busy)
	}
	return b.wake()
}

// alarmForRoom is the same for a bin that has no room for more in memory. It is looked at again as soon as a
// delivery of its own has left, if there is one; a flow with nothing in memory need not wait for that.
func (s *Scheduler) alarmForRoom(b *bin, now time.Time, busy bool) time.Time {
	starving := b.starving.first()
	switch {
	case starving == nil && busy:
		return time.Time{}
	case starving != nil && starving.at.After(now) && s.hasExtraRoom(b):
		return starving.at
	case starving != nil:
		return later(starving.at, now.Add(spoolPause))
	}
	return now.Add(spoolPause)
}

// dispatch brings the bin's deliveries to a pool, or its destination to resolution.
func (s *Scheduler) dispatch(b *bin, now time.Time) {
	if b.paused != nil {
		s.unload(b)
		return
	}
	if b.pool != nil && !b.site.stale(now) {
		b.pool.enter(b)
		s.pump(b.pool)
		return
	}
	if b.resolving || !b.gate.probe(now) {
		return
	}
	b.resolving, b.resolvingSince = true, now
	crew := &s.resolves
	if !b.gate.open() {
		crew = &s.retries
	}
	crew.run(func() { s.resolve(b) })
}

// bin finds or makes the bin of a destination.
func (s *Scheduler) bin(to Destination) *bin {
	b := s.bins[to]
	if b == nil {
		b = newBin(to, s.limits, &s.memory)
		b.paused = s.pauses.of(to)
		s.bins[to] = b
		s.rover.unshelve(b)
	}
	return b
}

// remove forgets a bin that is over, and its pool if it was the last.
func (s *Scheduler) remove(b *bin) {
	if b.closed {
		return
	}
	s.binAlarms.set(b.alarm, time.Time{})
	delete(s.bins, b.to)
	b.close()
	if p := b.pool; p != nil {
		p.part(b)
		s.reap(p)
	}
}

// putBack returns a delivery to its bin unchanged: nothing was decided about it.
func (s *Scheduler) putBack(d Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bin(d.To)
	b.pushBack(d)
	s.advance(b)
}

// giveUp releases a delivery that cannot be handled now. It is read from the spool again.
func (s *Scheduler) giveUp(d Delivery) {
	s.o.Spool.Release(d)
	s.landed(d, d)
}

// landed says that a delivery came back from a courier or resolver, and what of it, and
// what besides, is in the spool now.
func (s *Scheduler) landed(d Delivery, remains ...Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bin(d.To)
	b.away = max(b.away-1, 0) // a panic in an observer can make it land twice
	s.note(remains...)
	s.advance(b)
}

// note remembers deliveries that are in the spool, unclaimed.
func (s *Scheduler) note(ds ...Delivery) {
	for _, d := range ds {
		if d.Held != "" {
			continue
		}
		switch s.admit(d.To, d.Flow, d.Due, false) {
		case admitted:
			b := s.bin(d.To)
			b.note(d.Flow, d.Due)
			s.advance(b)
		case crowded:
			s.rover.missed = true
		}
	}
}
