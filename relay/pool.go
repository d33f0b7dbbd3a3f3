package relay

import "time"

// pool is the scheduler's side of a site: the couriers that hold its connections, the
// window that bounds them, and the bins whose deliveries they carry. Fields are guarded by
// the Scheduler's mu.
type pool struct {
	site *Site
	// members are the bins that resolve to the site; ready serves those of them that
	// have deliveries in memory.
	members map[*bin]struct{}
	ready   fair[*bin]

	gate   gate
	window window
	// couriers counts all goroutines; dialing those without a connection yet, connected the
	// rest; idle are the connected ones that wait for a delivery, the latest last.
	couriers, dialing, connected int
	idle                         []*courier
	// leaving counts the couriers that end because the window has shrunk.
	leaving int
	// setbacks counts attempts in a row that spoke against the site.
	setbacks int
	// prober is the member whose delivery the site behind a closed gate is tried with.
	prober *bin
	alarm  *alarm[*pool]
}

// setbackLimit is how many attempts in a row may speak against a site that answers the
// phone before its gate closes: a host that hangs up on everything is a dead host.
const setbackLimit = 5

func newPool(site *Site, connections int) *pool {
	if site.Connections > 0 {
		connections = site.Connections
	}
	return &pool{site: site, members: make(map[*bin]struct{}), window: newWindow(connections)}
}

// shut says that nothing reaches the site, except for a probe.
func (p *pool) shut() bool { return !p.gate.open() && p.connected == 0 }

// hungry is a member with a delivery that is due in the spool; without one, next is when the
// earliest will be, zero when nothing waits.
func (p *pool) hungry(now time.Time) (member *bin, next time.Time) {
	for b := range p.members {
		due := b.due()
		if !due.IsZero() && !due.After(now) {
			return b, time.Time{}
		}
		next = earlier(next, due)
	}
	return nil, next
}

// join makes the bin a member.
func (p *pool) join(b *bin, site *Site) {
	if site.Connections > 0 {
		p.window.most = float64(site.Connections)
	}
	p.site = site
	b.site, b.pool = site, p
	p.members[b] = struct{}{}
}

// part ends the bin's membership.
func (p *pool) part(b *bin) {
	p.ready.leave(b.place)
	delete(p.members, b)
	if p.prober == b {
		p.prober = nil
	}
	b.site, b.pool = nil, nil
}

// wantsCourier says whether one more connection should be opened now: there is a delivery for
// it and the window has room; behind a closed gate, only as the probe.
func (p *pool) wantsCourier(now time.Time) bool {
	if !p.gate.open() {
		return p.dialing == 0 && p.gate.probe(now) && p.ready.len() > 0
	}
	return p.couriers < p.window.limit() && p.backlog(p.dialing+1)
}

// backlog says whether at least n deliveries wait in memory.
func (p *pool) backlog(n int) bool {
	for _, e := range p.ready.heap {
		n -= e.value.count
		if n <= 0 {
			return true
		}
	}
	return false
}

// pick takes the next delivery, the bins being served in fairness. A bin whose resolution
// has expired is returned in stale instead, and has left the pool.
func (p *pool) pick(now time.Time) (d Delivery, from *bin, stale []*bin) {
	for {
		e := p.ready.next()
		if e == nil {
			return Delivery{}, nil, stale
		}
		b := e.value
		if b.site.stale(now) {
			p.part(b)
			stale = append(stale, b)
			continue
		}
		d, ok := b.pop()
		if ok {
			p.ready.charge(e, len(d.Recipients))
		}
		if b.count == 0 {
			p.ready.leave(e)
		}
		if ok {
			return d, b, stale
		}
	}
}

// popIdle takes the courier that became idle last, so that as few connections as can do
// the work stay warm and the others end.
func (p *pool) popIdle() *courier {
	last := len(p.idle) - 1
	if last < 0 {
		return nil
	}
	c := p.idle[last]
	p.idle[last] = nil
	p.idle = p.idle[:last]
	return c
}

// dropIdle takes a courier out of the idle ones; false when it has been handed a delivery.
func (p *pool) dropIdle(c *courier) bool {
	for i := range p.idle {
		if p.idle[i] == c {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			return true
		}
	}
	return false
}

// over says that the pool has no reason to exist. A closed gate is kept while a member may
// ask for it, and that of a smart host whose mail goes another way until it is back.
func (p *pool) over() bool {
	return p.couriers == 0 && len(p.members) == 0 && !(p.site.Smart && p.site.Moved != nil && !p.gate.open())
}
