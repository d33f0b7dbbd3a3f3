package relay

import "time"

// pump gives a pool's deliveries to its idle couriers and opens connections for more.
func (s *Scheduler) pump(p *pool) {
	if !s.running || s.stopped {
		return
	}
	now := s.o.Now()
	for len(p.idle) > 0 {
		d, ok := s.pick(p, now)
		if !ok {
			return
		}
		s.popIdle(p).handed <- d
	}
	for p.wantsCourier(now) {
		if s.connections >= s.o.ConnectionsTotal {
			s.blocked[p] = struct{}{}
			s.makeRoom()
			return
		}
		s.hire(p)
	}
	if p.ready.len() > 0 && !p.gate.open() && p.dialing == 0 {
		s.setPoolAlarm(p, p.gate.until)
	}
}

// pick takes a delivery for a courier of the pool and lets the bin that gave it refill.
func (s *Scheduler) pick(p *pool, now time.Time) (Delivery, bool) {
	d, from, stale := p.pick(now)
	for _, b := range stale {
		s.advance(b)
	}
	if from == nil {
		return Delivery{}, false
	}
	s.memory -= footprint(d)
	s.refill(from, now)
	return d, true
}

// popIdle takes an idle courier of the pool.
func (s *Scheduler) popIdle(p *pool) *courier {
	c := p.popIdle()
	if len(p.idle) == 0 {
		delete(s.resting, p)
	}
	return c
}

// makeRoom ends an idle connection of any pool, for one that has work.
func (s *Scheduler) makeRoom() {
	for p := range s.resting {
		close(s.popIdle(p).handed)
		return
	}
}

// disband sends the members of a pool that have another site now to that one.
func (s *Scheduler) disband(p *pool) {
	for b := range p.members {
		if b.site.moved() {
			p.part(b)
			s.advance(b)
		}
	}
}

// reap forgets a pool that is over.
func (s *Scheduler) reap(p *pool) {
	if p.over() && s.pools[p.site.Key] == p {
		s.poolAlarms.set(p.alarm, time.Time{})
		delete(s.pools, p.site.Key)
		delete(s.blocked, p)
	}
}
