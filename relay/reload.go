package relay

import (
	"cmp"
	"time"
)

// Reload takes up another Transport and Policy, other Signers, Limits and Retry, and the numbers
// about connections; the rest of the options stays, a zero value means its default. Nothing that
// goes on is ended: rates keep their counts, windows and gates theirs. All destinations are
// resolved again before more goes out to them, and those that could not be reached are tried. What
// is queued and is routed elsewhere now is moved by Reroute.
func (s *Scheduler) Reload(o SchedulerOptions) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := *s.live()
	next.Transport, next.Policy, next.Signers = o.Transport, o.Policy, o.Signers
	next.Retry, next.Limits = o.Retry, o.Limits
	next.Connections, next.ConnectionsTotal, next.Idle = o.Connections, o.ConnectionsTotal, o.Idle
	next.MessagesPerConnection, next.RetryShare = o.MessagesPerConnection, o.RetryShare
	next.KnownMemory = o.KnownMemory
	next.setDefaults()
	s.current.Store(&next)
	s.leaveLines() // before there are other ones
	s.limits = s.limits.succeed(next.Limits)
	for _, p := range s.pools {
		s.review(p)
	}
	for _, b := range s.bins {
		b.reload(s.limits, s.o.Now())
	}
	for _, b := range s.bins {
		if p := b.pool; p != nil && p.shut() {
			p.part(b) // behind a closed gate nobody would look at where it leads now
			s.reap(p)
		}
		s.advance(b)
	}
	s.unblock()
}

// leaveLines has nobody wait for a rate any more.
func (s *Scheduler) leaveLines() {
	for _, p := range s.pools {
		s.limits.giveUp(&p.rate)
		s.limits.giveUp(&p.dial)
		p.turns.reload()
	}
	for _, b := range s.bins {
		s.limits.giveUp(&b.wait)
	}
}

// live are the options as they are now: s.o are those of the beginning.
func (s *Scheduler) live() *SchedulerOptions { return s.current.Load() }

// setDefaults fills in what Reload can change.
func (o *SchedulerOptions) setDefaults() {
	if o.Retry == (Retry{}) {
		o.Retry = DefaultRetry()
	}
	o.Connections = cmp.Or(o.Connections, DefaultConnections)
	o.ConnectionsTotal = cmp.Or(o.ConnectionsTotal, DefaultConnectionsTotal)
	o.Idle = cmp.Or(o.Idle, DefaultIdle)
	o.MessagesPerConnection = cmp.Or(o.MessagesPerConnection, DefaultMessagesPerConnection)
	o.RetryShare = cmp.Or(o.RetryShare, DefaultRetryShare)
	o.KnownMemory = cmp.Or(o.KnownMemory, DefaultKnownMemory)
}

// review holds a pool to the limits of now.
func (s *Scheduler) review(p *pool) {
	s.limit(p)
	p.renew = true
	p.window.bound(cmp.Or(p.site.Connections, s.live().Connections))
	if now := s.o.Now(); !p.gate.open() && p.gate.until.After(now) {
		p.gate.until = now
		s.setPoolAlarm(p, now)
	}
}

// limit gives the pool its meters and its provider, of the present limiter.
func (s *Scheduler) limit(p *pool) {
	p.meters, p.provider = s.limits.ofSite(p.site)
	if p.provider != nil {
		p.provider.connections += p.couriers
	}
}

// renew is for the first that is known of a pool's site after a Reload: what it may take can be
// different now.
func (s *Scheduler) renew(p *pool) {
	p.renew = false
	s.limits.giveUp(&p.rate) // nobody else waits for what the site alone has
	s.limits.giveUp(&p.dial)
	s.limits.renew("site "+p.site.Key, p.site.Rates)
	s.limits.drop(p.meters)
	if p.provider != nil {
		p.provider.connections -= p.couriers
	}
	s.limit(p)
	p.window.bound(cmp.Or(p.site.Connections, s.live().Connections))
}

// bound changes the most that the window grows to.
func (w *window) bound(most int) {
	w.most = float64(most)
	w.size = min(w.size, w.most)
}

// reload holds the bin to other limits, and has its destination resolved again.
func (b *bin) reload(l *limiter, now time.Time) {
	b.limits = l
	b.meters, b.most = l.ofDestination(b.to)
	for _, f := range b.flows {
		f.meters, f.weight = l.ofFlow(f.name.Name())
		b.review(f)
	}
	if b.site != nil {
		stale := *b.site
		stale.Expires = now
		b.site = &stale
	}
	if !b.gate.open() && b.gate.until.After(now) {
		b.gate.until = now
	}
}

// succeed makes the limiter of other limits. What was counted against rates that stay counts.
func (l *limiter) succeed(o Limits) *limiter {
	next := newLimiter(o, l.now)
	next.known, next.wake = l.known, l.wake
	for name, state := range l.resumed {
		next.recall(name, state)
	}
	for name, m := range l.meters {
		next.recall(name, m.state())
	}
	return next
}

// renew gives a meter that is there other rates. What was counted against those that stay counts.
func (l *limiter) renew(name string, rates []Rate) {
	m := l.meters[name]
	if m == nil {
		return
	}
	state := m.state()
	m.buckets = newMeter(name, rates).buckets
	m.resume(state, l.now())
	m.dirty = true
}
