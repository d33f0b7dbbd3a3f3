package relay

import "time"

// spend books a delivery that goes to a courier of the pool.
func (s *Scheduler) spend(p *pool, from *bin, d Delivery, now time.Time) {
	a := amount{Messages: 1, Recipients: int64(len(d.Recipients))}
	p.meters.take(a, now)
	from.meters.take(a, now)
	from.flow(d.Flow).meters.take(a, now)
}

// spent books that the delivery is with the courier no more. Where it was not attempted, what it
// paid is given back.
func (s *Scheduler) spent(c *courier, d Delivery, attempted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.let()
	if attempted {
		return
	}
	p := c.pool
	a := amount{Messages: 1, Recipients: int64(len(d.Recipients))}
	p.meters.refund(a)
	if b := s.bins[d.To]; b != nil {
		b.meters.refund(a)
		if f := b.flows[d.Flow]; f != nil {
			f.meters.refund(a)
		}
	}
}

// spendBytes books the size of a message that is about to be sent. The Scheduler's mu is held.
func (s *Scheduler) spendBytes(p *pool, d Delivery, size int64, now time.Time) {
	a := amount{Bytes: size}
	p.meters.take(a, now)
	if b := s.bins[d.To]; b != nil {
		b.meters.take(a, now)
		if f := b.flows[d.Flow]; f != nil {
			f.meters.take(a, now)
		}
	}
}

// spendConnection books a connection that is opened for the next delivery of the pool.
func (s *Scheduler) spendConnection(p *pool, now time.Time) {
	if p.provider != nil {
		p.provider.connections++
	}
	p.meters.take(oneConnection, now)
	if l := p.turns.next(true); l != nil {
		l.bin.meters.take(oneConnection, now)
	}
}

// hold counts the courier among those that carry retries, once for what it carries and what is
// to follow on the same connection.
func (c *courier) hold(d Delivery) {
	if d.Flow.rank().retry() && !c.retrying {
		c.retrying = true
		c.pool.retrying++
	}
}

// let ends that when neither is one any more.
func (c *courier) let() {
	if c.retrying && !c.current.retry() && !c.ahead.retry() {
		c.retrying = false
		c.pool.retrying--
	}
}

// retry says that the load was attempted before; nil is none.
func (l *load) retry() bool { return l != nil && l.d.Flow.rank().retry() }
