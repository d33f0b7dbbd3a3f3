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
	for len(p.idle) == 0 && p.wantsCourier(now) {
		f := s.mayDial(p, now)
		if f == nil {
			break
		}
		if !s.hasSlot(p) {
			s.blocked[p] = struct{}{}
			s.makeRoom(p)
			return
		}
		s.spendConnection(p, f.lane.bin, now)
		s.hire(p, f)
	}
	if p.turns.waiting() && !p.gate.probe(now) && p.dialing == 0 {
		s.setPoolAlarm(p, p.gate.until)
	}
}

// pick takes a delivery of the pool for a courier, if the rates of the site allow one, and lets
// the bin that gave it refill.
func (s *Scheduler) pick(c *courier, now time.Time) (Delivery, bool) {
	defer c.asked()
	p := c.pool
	if !p.turns.waiting() {
		return Delivery{}, false
	}
	if s.heldUp(p, now, false) {
		return Delivery{}, false
	}
	f, stale := p.pick(now, c.retrying || p.retryRoom(s.live().RetryShare))
	if f == nil {
		s.advanceAll(stale)
		return Delivery{}, false
	}
	from := f.lane.bin
	s.spend(p, f, &f.queue[0], now)
	d := from.serve(f)
	s.advanceAll(stale)
	c.hold(d)
	s.refill(from, now)
	return d, true
}

// heldUp says whether rates hold up the pool as a whole. It waits in line for them if so.
func (s *Scheduler) heldUp(p *pool, now time.Time, opening bool) bool {
	if opening && p.rate.in() {
		return true
	}
	by := p.meters.holdUp(oneMessage, now, p.rate.pass, opening)
	if by != nil {
		s.limits.await(&p.rate, p, p.turns.first().name, by)
	}
	return by != nil
}

// mayDial gives the flow for whose mail one more connection may be opened, as far as rates go: they must allow the
// connection, and a message for it that no other is being opened for. Otherwise it is nil, and who is held up waits in
// line; what a pool is opening connections for looks again when it has them.
func (s *Scheduler) mayDial(p *pool, now time.Time) *flow {
	first := p.asking == 0
	if s.heldUp(p, now, first) {
		return nil
	}
	f, _, stale := p.foremost(now, p.retryRoom(s.live().RetryShare), first)
	s.advanceAll(stale)
	if f == nil {
		return nil
	}
	b := f.lane.bin
	for _, ms := range []meters{p.meters, b.meters, f.meters} {
		if !first && ms.tight(oneMessage, p.asking, now) {
			return nil
		}
	}
	by := p.meters.holdUp(oneConnection, now, p.dial.pass, false)
	if by == nil {
		by = b.meters.holdUp(oneConnection, now, p.dial.pass, false)
	}
	if by != nil {
		s.limits.await(&p.dial, p, f.name, by)
		return nil
	}
	return f
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
		s.limits.giveUp(&p.rate)
		s.limits.giveUp(&p.dial)
		s.limits.drop(p.meters)
		s.lessons.learn(p, s.o.Now())
		delete(s.pools, p.site.Key)
		delete(s.blocked, p)
	}
}
