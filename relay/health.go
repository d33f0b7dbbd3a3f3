package relay

import (
	"slices"
	"time"
)

// connected counts a connection in and, if the site had been unreachable, opens its gate. A
// site that answers has yet to prove that it takes mail: until then, one setback closes
// the gate again.
// It says whether the courier is still wanted.
func (s *Scheduler) connected(c *courier) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.writtenOff {
		return false
	}
	p := c.pool
	c.enter(PhaseLoading, s.o.Now())
	p.dialing--
	p.connected++
	c.connected = true
	if !p.gate.try() {
		return true
	}
	p.prober = nil
	p.window.restart()
	p.setbacks, p.recovering = setbackLimit-1, true
	s.o.Observer.Gated(Gated{Name: p.site.Key})
	for b := range p.members {
		s.advance(b)
	}
	return true
}

// unreachable closes the gate of a site that could not be connected to.
func (s *Scheduler) unreachable(p *pool, began time.Time, reply Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if reply.Class == ClassRate && p.connected > 0 {
		p.window.refused(p.connected, s.o.Now()) // the site is well, and says how much it takes
		return
	}
	p.window.setback(s.o.Now())
	s.shut(p, began, reply)
}

// shut counts a failure of the site, begun then, and when no connection is left sends what
// waits for it in memory back to the spool: a closed gate costs no memory and no work per
// message.
func (s *Scheduler) shut(p *pool, began time.Time, reply Reply) {
	if p.gate.fail(began, s.o.Now(), p.site.Smart, s.o.Chance(), reply) {
		s.o.Observer.Gated(Gated{Name: p.site.Key, Closed: true, Until: p.gate.until, Reply: reply})
	}
	p.prober = nil
	s.setPoolAlarm(p, p.gate.until)
	s.clear(p)
	s.disband(p)
}

// clear unloads the bins of a pool whose gate is closed and that has no connection.
func (s *Scheduler) clear(p *pool) {
	if !p.shut() {
		return
	}
	s.limits.giveUp(&p.rate)
	s.limits.giveUp(&p.dial)
	for b := range p.members {
		if b.count > 0 {
			s.unload(b)
		}
	}
}

// judge draws the lesson about the site of an attempt begun then.
func (s *Scheduler) judge(c *courier, a Attempt, began time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, now := c.pool, s.o.Now()
	c.enter(PhaseLoading, now)
	p.measure(now.Sub(began))
	if a.Ambiguous && !a.Setback {
		// The network may be to blame: it is no success of the site's either (conformance T08).
		s.pump(p)
		return
	}
	if !a.Setback {
		p.setbacks, p.gate.before, p.gate.since = 0, 0, time.Time{}
		p.window.recheck(now)
		p.window.success(p.couriers - len(p.idle))
		if p.recovering && slices.ContainsFunc(a.Replies, Reply.Positive) {
			p.recovering = false
			s.pullEarly(p, now)
		}
		s.pump(p)
		return
	}
	p.window.setback(s.o.Now())
	p.setbacks++
	if p.setbacks >= setbackLimit {
		s.shut(p, began, a.complaint())
	}
}

// retire counts a courier out and lets others have its place: other pools that wait for one
// before its own, which has had its turn.
func (s *Scheduler) retire(c *courier) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(c.pool.crew, c)
	if !c.writtenOff {
		s.uncount(c)
	}
	s.relieve(c.pool)
}

// uncount gives up the courier's place.
func (s *Scheduler) uncount(c *courier) {
	c.asked()
	p := c.pool
	p.couriers--
	if p.provider != nil {
		p.provider.connections--
	}
	s.connections--
	if c.leaving {
		p.leaving--
	}
	if c.connected {
		p.connected--
	} else {
		p.dialing--
	}
}

// relieve lets others have the place of a courier of the pool.
func (s *Scheduler) relieve(p *pool) {
	s.unblock()
	s.clear(p)
	s.attend(p)
	if p.couriers == 0 && p.gate.open() {
		for b := range p.members {
			s.advance(b)
		}
	}
	s.reap(p)
}

// unblock lets pools open the connections that others kept them from.
func (s *Scheduler) unblock() {
	for p := range s.blocked {
		if s.connections >= s.live().ConnectionsTotal {
			return
		}
		if p.provider.full() {
			continue
		}
		delete(s.blocked, p)
		s.pump(p)
	}
}
