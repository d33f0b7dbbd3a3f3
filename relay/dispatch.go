package relay

import "time"

// pump gives a pool's deliveries to its idle couriers and opens connections for more. What it does to bins may ask
// for the same: then it is at it already.
func (s *Scheduler) pump(p *pool) {
	if !s.running || s.stopped || p.pumping {
		return
	}
	p.pumping = true
	defer func() { p.pumping = false }()
	s.give(p, s.o.Now())
	if a := s.limits.alarms.first(); a != nil {
		s.wakeTimer(a.at) // somebody may be in line who was not before
	}
}

// give is pump where nothing else is at it. What rates hold up is in line for them afterwards.
func (s *Scheduler) give(p *pool, now time.Time) {
	for len(p.idle) > 0 {
		d, ok := s.pick(p.idle[len(p.idle)-1], now)
		if !ok {
			break
		}
		c := s.popIdle(p)
		c.enter(PhaseLoading, now)
		c.handed <- d
	}
	for len(p.idle) == 0 && p.wantsCourier(now) && s.mayDial(p, now) {
		if !s.hasSlot(p) {
			s.blocked[p] = struct{}{}
			s.makeRoom(p)
			return
		}
		s.spendConnection(p, now)
		s.hire(p)
	}
	if p.turns.waiting() && !p.gate.probe(now) && p.dialing == 0 {
		s.setPoolAlarm(p, p.gate.until)
	}
}

// pick takes a delivery of the pool for a courier, if the rates of the site allow one, and lets
// the bin that gave it refill.
func (s *Scheduler) pick(c *courier, now time.Time) (Delivery, bool) {
	p := c.pool
	if !p.turns.waiting() {
		return Delivery{}, false
	}
	if s.heldUp(p, now) {
		return Delivery{}, false
	}
	f, parted := p.pick(now, c.retrying || p.retryRoom(s.live().RetryShare))
	if f == nil {
		s.advanceAll(parted)
		return Delivery{}, false
	}
	from := f.lane.bin
	s.spend(p, f, &f.queue[0], now)
	d := from.serve(f)
	s.advanceAll(parted)
	c.hold(d)
	s.refill(from, now)
	return d, true
}

// heldUp says whether rates hold up the pool as a whole. It waits in line for them if so.
func (s *Scheduler) heldUp(p *pool, now time.Time) bool {
	by := p.meters.holdUp(oneMessage, now, p.rate.pass)
	if by != nil {
		s.limits.await(&p.rate, p, p.turns.first().name, by)
	}
	return by != nil
}

// mayDial says whether rates allow one more connection, and a message for it. The pool waits in line if not.
func (s *Scheduler) mayDial(p *pool, now time.Time) bool {
	if s.heldUp(p, now) {
		return false
	}
	f, _, parted := p.foremost(now, true)
	s.advanceAll(parted)
	if f == nil {
		return false
	}
	by := p.meters.holdUp(oneConnection, now, p.dial.pass)
	if by == nil {
		by = f.lane.bin.meters.holdUp(oneConnection, now, p.dial.pass)
	}
	if by != nil {
		s.limits.await(&p.dial, p, f.name, by)
	}
	return by == nil
}

// hasSlot says whether there may be one more connection, in all and to the provider.
func (s *Scheduler) hasSlot(p *pool) bool {
	return s.connections < s.live().ConnectionsTotal && !p.provider.full()
}

// full says whether all connections to the provider are taken.
func (p *provider) full() bool { return p != nil && p.most > 0 && p.connections >= p.most }

// popIdle takes an idle courier of the pool.
func (s *Scheduler) popIdle(p *pool) *courier {
	c := p.popIdle()
	if len(p.idle) == 0 {
		delete(s.resting, p)
	}
	return c
}

// makeRoom ends an idle connection of another pool, for one that has work.
func (s *Scheduler) makeRoom(other *pool) {
	for p := range s.resting {
		if !other.provider.full() || p.provider == other.provider {
			close(s.popIdle(p).handed)
			return
		}
	}
}

// wanted says whether another pool waits for a connection that would be free if one of this pool's
// ended.
func (s *Scheduler) wanted(p *pool) bool {
	for other := range s.blocked {
		if other != p && (!other.provider.full() || other.provider == p.provider) {
			return true
		}
	}
	return false
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

// newPool makes the pool of a site that had none.
func (s *Scheduler) newPool(site *Site) *pool {
	p := newPool(site, s.live().Connections)
	p.alarm = newAlarm(p)
	p.meters, p.provider = s.limits.ofSite(site)
	if l, ok := s.lessons.all[site.Key]; ok {
		p.heed(l, s.o.Now(), s.o.Chance())
	}
	s.pools[site.Key] = p
	return p
}

// reap forgets a pool that is over.
func (s *Scheduler) reap(p *pool) {
	if p.over() && s.pools[p.site.Key] == p {
		s.poolAlarms.set(p.alarm, time.Time{})
		p.rate.leave()
		p.dial.leave()
		s.limits.drop(p.meters)
		s.lessons.learn(p, s.o.Now())
		delete(s.pools, p.site.Key)
		delete(s.blocked, p)
	}
}
