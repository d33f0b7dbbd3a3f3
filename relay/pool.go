package relay

import (
	"math"
	"time"
)

// pool is the scheduler's side of a site: the couriers that hold its connections, the
// window that bounds them, and the bins whose deliveries they carry. Fields are guarded by
// the Scheduler's mu.
type pool struct {
	site *Site
	// members are the bins that resolve to the site; turns serves those of them that
	// have deliveries in memory. Aside are members that have some and are held up by their limits.
	members, aside map[*bin]struct{}
	turns          turns
	// meters are the rates of the site and its provider; provider is nil where it has none.
	meters   meters
	provider *provider
	// rate and dial are in the lines for what holds up messages and connections.
	rate, dial wait
	// perConnection is after how many messages the site ends a connection, as learned then; 0 for
	// not known. EndedAfter is after how many it ended one last.
	perConnection   int
	perConnectionAt time.Time
	endedAfter      int
	// took is how long a message took on a connection lately.
	took time.Duration
	// size is about how large messages were lately, in bytes.
	size int64
	// retrying counts the deliveries away that had been attempted before.
	retrying int

	gate   gate
	window window
	// couriers counts all goroutines; dialing those without a connection yet, connected the
	// rest; idle are the connected ones that wait for a delivery, the latest last.
	couriers, dialing, connected int
	// asking counts the couriers that have not asked yet for what their connections were opened for.
	asking int
	idle   []*courier
	// crew are the couriers, those that were written off among them.
	crew map[*courier]struct{}
	// leaving counts the couriers that end because the window has shrunk.
	leaving int
	// setbacks counts attempts in a row that spoke against the site.
	setbacks int
	// pumping says that deliveries are being given to couriers.
	pumping bool
	// recovering says that the gate has opened and no mail has been taken since.
	recovering bool
	// renew says that a Reload has been since the site was found.
	renew bool
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
	return &pool{
		site: site, members: make(map[*bin]struct{}), aside: make(map[*bin]struct{}), crew: make(map[*courier]struct{}),
		window: newWindow(connections),
	}
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

// retryRoom says whether one more delivery that had been attempted before may be out.
func (p *pool) retryRoom(share float64) bool {
	return p.retrying < max(1, int(math.Ceil(float64(p.window.limit())*share)))
}

// measure takes note of how long a message took, the latest for an eighth.
func (p *pool) measure(took time.Duration) {
	if p.took == 0 {
		p.took = took
	}
	p.took += (took - p.took) / 8
}

// join makes the bin a member.
func (p *pool) join(b *bin, site *Site) {
	if site.Connections > 0 {
		p.window.most = float64(site.Connections)
	}
	p.site = site
	b.site, b.pool = site, p
	p.members[b] = struct{}{}
	for f := range b.ready() {
		p.admit(f)
	}
}

// enter lets the bin's deliveries in memory take their turns, or puts the bin aside while its
// limits hold it up.
func (p *pool) enter(b *bin) {
	if b.heldUp() {
		p.leave(b)
		p.aside[b] = struct{}{}
		return
	}
	_, again := p.aside[b]
	delete(p.aside, b)
	for _, l := range b.lanes {
		if l.count > 0 {
			p.turns.enter(l, again)
		}
	}
}

// leave ends the turns of the bin's deliveries.
func (p *pool) leave(b *bin) {
	delete(p.aside, b)
	for _, l := range b.lanes {
		p.turns.leave(l)
	}
}

// part ends the bin's membership.
func (p *pool) part(b *bin) {
	p.leave(b)
	for _, l := range b.lanes {
		l.place.clock = 0 // the next pool has a clock of its own
	}
	for _, f := range b.flows {
		p.turns.dismiss(f)
	}
	delete(p.members, b)
	if p.prober == b {
		p.prober = nil
	}
	b.site, b.pool = nil, nil
	for _, f := range b.flows {
		f.lane.admit(f) // what its sender's rates held up
	}
}

// admit lets a flow with deliveries have its turns, and takes out one without. Where the pool or the flow's bin is in
// line for a rate, that may be for this flow's sake now.
func (p *pool) admit(f *flow) {
	p.turns.admit(f)
	b := f.lane.bin
	if f.offered > 0 {
		b.limits.hasten(&p.rate, p, f.name)
		b.limits.hasten(&b.wait, b, f.name)
	}
}

// wantsCourier says whether one more connection should be opened now: there is a delivery for
// it and the window has room; behind a closed gate, only as the probe.
func (p *pool) wantsCourier(now time.Time) bool {
	if !p.gate.open() {
		return p.dialing == 0 && p.gate.probe(now) && p.turns.waiting()
	}
	return p.couriers < p.window.limit() && p.turns.backlog(p.dialing+1)
}

// pick chooses the flow whose first delivery is next, nil when there is none, and books that: ranks, bins and
// senders are served in fairness. The bins that it returns are to be resolved again.
func (p *pool) pick(now time.Time, retries bool) (f *flow, stale []*bin) {
	f, bySender, stale := p.foremost(now, retries, false)
	if f != nil {
		p.turns.charge(f, bySender, len(f.queue[0].Recipients))
	}
	return f, stale
}

// foremost is the flow that pick would choose, or that a connection would be opened for, and whether that is its sender's
// turn. Bins and flows that their rates
// hold up are left out, and wait in line for these. Bins whose resolution has expired are too, and are returned.
func (p *pool) foremost(now time.Time, retries, opening bool) (f *flow, bySender bool, stale []*bin) {
	for {
		f, bySender := p.turns.next(retries)
		if f == nil {
			return nil, false, stale
		}
		b := f.lane.bin
		if b.site.stale(now) {
			p.leave(b)
			stale = append(stale, b)
			continue
		}
		if p.holdUp(f, now, opening) {
			continue
		}
		return f, bySender, stale
	}
}

// holdUp keeps a flow that was found, or its bin, from their turns if their limits do. A probe goes beyond these: it
// pays, but to know whether a site can be reached matters to all its mail.
func (p *pool) holdUp(f *flow, now time.Time, opening bool) bool {
	b := f.lane.bin
	probe := p.shut()
	if !probe {
		if by := b.meters.holdUp(oneMessage, now, b.wait.pass, opening); by != nil {
			b.limits.await(&b.wait, b, f.name, by)
		}
	}
	if b.heldUp() {
		p.enter(b)
		return true
	}
	if probe {
		return false
	}
	by := f.meters.holdUp(oneMessage, now, f.sender.wait.pass, opening)
	if by == nil {
		return false
	}
	s := f.sender
	p.turns.hold(f)
	b.limits.await(&s.wait, s, f.name, by)
	return true
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
	return len(p.crew) == 0 && len(p.members) == 0 && !(p.site.Smart && p.site.Around && !p.gate.open())
}
