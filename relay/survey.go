package relay

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Whose limits are, where the name of a meter does not begin with it.
const (
	paceOperator    = "operator"
	paceDestination = "destination"
	paceFlow        = "flow"
	paceSite        = "site"
	paceProvider    = "provider"
	paceRelay       = "relay"
)

// survey collects the limits of a bin, in the order in which a delivery meets them. The Scheduler's
// mu is held.
type survey struct {
	s   *Scheduler
	b   *bin
	now time.Time

	all     []PaceLimit
	learned Learned
	// shut says that nothing passes.
	shut bool
	// flowsBind says that all flows with mail are held up by their own rates, and flowReach is what
	// these let pass; 0 where a flow with mail has none.
	flowsBind bool
	flowReach float64
	moreFlows int
}

// survey looks at a destination, and gives the site where it has one.
func (s *Scheduler) survey(to Destination) (v *survey, site *Site, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v = &survey{s: s, now: s.o.Now(), b: s.bins[to]}
	if v.b == nil {
		v.b = &bin{to: to, paused: s.pauses.of(to)}
		v.barriers()
		v.meters(s.limits.idle(to))
		return v, nil, false
	}
	v.barriers()
	v.meters(v.b.meters)
	v.flows()
	if p := v.b.pool; p != nil {
		v.meters(p.meters)
		v.connections(p)
		v.learned = p.learned()
		site = p.site
	}
	v.memory()
	return v, site, true
}

func (v *survey) add(l PaceLimit) { v.all = append(v.all, l) }

// barriers are what lets nothing pass at all.
func (v *survey) barriers() {
	b := v.b
	if p := b.paused; p != nil {
		v.bar(PaceLimit{Name: "pause", Of: paceOperator, Reason: fmt.Sprintf("by %s: %s", p.Author, p.Reason)})
	}
	switch p := b.pool; {
	case !b.gate.open():
		v.bar(PaceLimit{Name: "look-up", Of: paceDestination, Until: b.gate.until, Reason: b.gate.reply.String()})
	case b.resolving:
		v.bar(PaceLimit{Name: "look-up", Of: paceDestination, Reason: "under way"})
	case p != nil && p.shut():
		v.bar(PaceLimit{Name: "gate", Of: paceSite, Until: p.gate.until, Reason: p.gate.reply.String()})
	}
}

func (v *survey) bar(l PaceLimit) {
	v.shut, l.Binds = true, true
	v.add(l)
}

// meters are the rates of what the bin has no say in.
func (v *survey) meters(ms meters) {
	for _, m := range ms {
		for i := range m.buckets {
			l := v.rate(m, &m.buckets[i])
			wants := v.waiting()
			if l.Allows.Of == Connections {
				wants = wants && v.b.pool != nil && v.b.pool.wantsCourier(v.now)
			}
			l.Binds = wants && !l.Until.IsZero()
			v.add(l)
		}
	}
}

// rate shows a bucket of a meter.
func (v *survey) rate(m *meter, b *bucket) PaceLimit {
	of, _, _ := strings.Cut(m.name, " ")
	l := PaceLimit{Name: m.name + ": " + b.rate.String(), Of: of, Allows: b.rate, Left: b.left(v.now)}
	switch b.rate.Of {
	case Messages, Recipients:
		l.Rate = b.rate.PerSecond()
	case Bytes:
		if p := v.b.pool; p != nil && p.size > 0 {
			l.Rate = b.rate.PerSecond() / float64(p.size)
		}
	}
	if at := b.ready(); at.After(v.now) {
		l.Until = at
	} else if !b.line.empty() {
		l.Until = later(b.alarm.at, v.now) // others are in line for what there is
	}
	return l
}

// waiting says whether anything of the bin waits in memory or is due in the spool.
func (v *survey) waiting() bool { return v.b.count > 0 || v.past(v.b.due()) }

func (v *survey) past(due time.Time) bool { return !due.IsZero() && !due.After(v.now) }

// flowsShown bounds the flows whose rates are shown, those that are held up longest.
const flowsShown = 50

// flows are the rates of those who send. They hold up the destination only where all who have mail
// for it are held up.
func (v *survey) flows() {
	var limits []PaceLimit
	waiting, held, unbound := 0, 0, 0
	for _, f := range v.b.flows {
		waits := len(f.queue) > 0 || v.past(f.next)
		least, bound := PaceLimit{}, false
		for _, m := range f.meters {
			for i := range m.buckets {
				l := v.rate(m, &m.buckets[i])
				l.Binds = waits && !l.Until.IsZero()
				bound = bound || l.Binds
				if l.Rate > 0 && (least.Rate == 0 || l.Rate < least.Rate) {
					least = l
				}
				limits = append(limits, l)
			}
		}
		switch {
		case !waits:
		case least.Rate == 0:
			unbound++
		}
		waiting += one(waits)
		held += one(bound)
		v.flowReach += least.Rate * float64(one(waits))
	}
	v.flowsBind = waiting > 0 && held == waiting
	if unbound > 0 {
		v.flowReach = 0
	}
	slices.SortFunc(limits, func(a, b PaceLimit) int { return cmp.Or(b.Until.Compare(a.Until), cmp.Compare(a.Name, b.Name)) })
	shown := min(len(limits), flowsShown)
	v.moreFlows = len(limits) - shown
	v.all = append(v.all, limits[:shown]...)
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// connections are the limits of how much goes on at once.
func (v *survey) connections(p *pool) {
	wants := v.b.count > 0 && len(p.idle) == 0
	if n := v.b.most; n > 0 {
		v.atOnce(PaceLimit{Name: "destination connections", Of: paceDestination, Used: v.b.away, Most: n, Binds: v.b.count > 0 && v.b.away >= n})
	}
	if o := p.provider; o != nil && o.most > 0 {
		v.atOnce(PaceLimit{Name: "provider " + o.name + " connections", Of: paceProvider, Used: o.connections, Most: o.most, Binds: wants && o.full()})
	}
	limit := p.window.limit()
	v.atOnce(PaceLimit{Name: "window", Of: paceSite, Used: p.couriers, Most: limit, Binds: wants && p.couriers >= limit})
	if n := p.window.taken; n > 0 {
		v.atOnce(PaceLimit{
			Name: "connections that the site takes", Of: paceSite, Used: p.couriers, Most: n,
			Binds: wants && p.couriers >= n, Reason: "as seen " + p.window.takenAt.Format(time.RFC3339),
		})
	}
	most := v.s.live().ConnectionsTotal
	total := PaceLimit{Name: "connections_total", Of: paceRelay, Used: v.s.connections, Most: most}
	total.Binds = wants && v.s.connections >= most
	v.add(total) // others have part of them: no rate follows from it
}

// atOnce adds a limit of how many connections there are, with the rate that follows from how long a
// message took lately.
func (v *survey) atOnce(l PaceLimit) {
	if took := v.b.pool.took.Seconds(); took > 0 && l.Of != paceProvider {
		l.Rate = float64(l.Most) / took
	}
	v.add(l)
}

// memory is the room for what waits in the spool.
func (v *survey) memory() {
	if v.past(v.b.due()) && !v.s.hasRoom(v.b) {
		v.add(PaceLimit{Name: "memory", Of: paceRelay, Binds: v.b.count == 0, Reason: "the rest waits in the spool"})
	}
}

// learned shows what the pool knows of its site.
func (p *pool) learned() Learned {
	return Learned{
		Window: p.window.limit(), Steady: p.window.steady, Connections: p.window.taken, ConnectionsAt: p.window.takenAt,
		PerConnection: p.perConnection, PerConnectionAt: p.perConnectionAt, Took: p.took, Size: p.size,
		Setbacks: p.setbacks, Failures: p.gate.failures + p.gate.before,
	}
}
