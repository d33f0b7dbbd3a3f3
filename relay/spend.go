package relay

import (
	"cmp"
	"time"
)

// spend books a delivery that goes to a courier of the pool. Its bytes are paid at once, or as many
// couriers as there are would each take one more before the first has paid; where the message is not
// at hand they are reckoned by those before it.
func (s *Scheduler) spend(p *pool, f *flow, d *Delivery, now time.Time) {
	from := f.lane.bin
	from.moved = now
	d.paid = cmp.Or(p.size, someBytes)
	if d.message != nil {
		d.paid = d.message.Size
	}
	a := amount{Messages: 1, Recipients: int64(len(d.Recipients)), Bytes: d.paid}
	for _, ms := range []meters{p.meters, from.meters, f.meters} {
		ms.take(a, now)
	}
	s.limits.spent(&p.rate)
	s.limits.spent(&from.wait)
	s.limits.spent(&f.sender.wait)
	for _, ms := range []meters{p.meters, from.meters, f.meters} {
		s.limits.lookAll(ms)
	}
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
	s.refund(c.pool, d, amount{Messages: 1, Recipients: int64(len(d.Recipients)), Bytes: d.paid})
	s.again(c.pool, d)
}

// again gives those their turns again who had them for a delivery that was not attempted.
func (s *Scheduler) again(p *pool, d Delivery) {
	s.limits.again(&p.rate, p, d.Flow)
	if b := s.bins[d.To]; b != nil {
		s.limits.again(&b.wait, b, d.Flow)
	}
	if q := p.turns.of[d.Flow.rank()].senders.known[d.Flow]; q != nil {
		s.limits.again(&q.wait, q, d.Flow)
	}
}

// weigh puts what was paid for the bytes of a message right, which is about to be sent. The
// Scheduler's mu is held.
func (s *Scheduler) weigh(p *pool, d *Delivery, size int64, now time.Time) {
	p.size += (size - p.size) / 2
	more := size - d.paid
	d.paid = size
	for _, ms := range s.metersOf(p, *d) {
		ms.learn(size)
		if more > 0 {
			ms.take(amount{Bytes: more}, now)
		} else {
			ms.refund(amount{Bytes: -more})
		}
		s.limits.lookAll(ms)
	}
}

// refund gives back what was paid. Who waits for it may go on the sooner.
func (s *Scheduler) refund(p *pool, d Delivery, a amount) {
	for _, ms := range s.metersOf(p, d) {
		ms.refund(a)
		s.limits.lookAll(ms)
	}
}

// metersOf are the meters that a delivery pays at.
func (s *Scheduler) metersOf(p *pool, d Delivery) []meters {
	all := []meters{p.meters}
	if b := s.bins[d.To]; b != nil {
		all = append(all, b.meters)
		if f := b.flows[d.Flow]; f != nil {
			all = append(all, f.meters)
		}
	}
	return all
}

// spendConnection books a connection that is opened for mail of a bin.
func (s *Scheduler) spendConnection(p *pool, b *bin, now time.Time) {
	if p.provider != nil {
		p.provider.connections++
	}
	p.meters.take(oneConnection, now)
	s.limits.spent(&p.dial)
	b.meters.take(oneConnection, now)
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
