package relay

import (
	"fmt"
	"time"
)

// Pace is how fast mail can go to a destination, and what keeps it from going faster.
type Pace struct {
	// Limits are all that there are, the one that binds among them.
	Limits []PaceLimit
	// Binding is the name of the limit that keeps deliveries waiting now; "" when none does.
	Binding string
	// Reach is how many messages a second the limits let pass, as far as is known; 0 when none can
	// pass or nothing is known.
	Reach float64
}

// PaceLimit is one limit on the way to a destination.
type PaceLimit struct {
	// Name says what it is, such as "window" or "route internet: 30 messages/1m0s".
	Name string
	// Rate is how many messages a second it lets pass; 0 where that is not known.
	Rate float64
	// Until is when it lets the next one pass; zero when it does now, or when that is not known.
	Until time.Time
	// Binds says that it keeps deliveries waiting.
	Binds bool
	// Reason is more about it, in words.
	Reason string
}

// PaceOf shows the pace of a destination; false when it has no bin.
func (s *Scheduler) PaceOf(to Destination) (Pace, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bins[to]
	if b == nil {
		return Pace{}, false
	}
	v := survey{s: s, b: b, now: s.o.Now()}
	v.barriers()
	v.meters(b.meters)
	for _, f := range b.flows {
		v.meters(f.meters)
	}
	if b.pool != nil {
		v.meters(b.pool.meters)
		v.connections(b.pool)
	}
	v.memory()
	return v.conclude(), true
}

// survey collects the limits of a bin, in the order in which a delivery meets them.
type survey struct {
	s   *Scheduler
	b   *bin
	now time.Time

	all []PaceLimit
	// shut says that nothing passes.
	shut bool
}

func (v *survey) add(l PaceLimit) { v.all = append(v.all, l) }

// barriers are what lets nothing pass at all.
func (v *survey) barriers() {
	b := v.b
	if p := b.paused; p != nil {
		v.bar("pause", time.Time{}, fmt.Sprintf("by %s: %s", p.Author, p.Reason))
	}
	switch p := b.pool; {
	case !b.gate.open():
		v.bar("look-up", b.gate.until, b.gate.reply.String())
	case b.resolving:
		v.bar("look-up", time.Time{}, "under way")
	case p != nil && p.shut():
		v.bar("gate", p.gate.until, p.gate.reply.String())
	}
}

func (v *survey) bar(name string, until time.Time, reason string) {
	v.shut = true
	v.add(PaceLimit{Name: name, Until: until, Binds: true, Reason: reason})
}

// meters are the rates.
func (v *survey) meters(ms meters) {
	for _, m := range ms {
		for i := range m.buckets {
			b := &m.buckets[i]
			l := PaceLimit{Name: m.name + ": " + b.rate.String()}
			if b.rate.Of == Messages || b.rate.Of == Recipients {
				l.Rate = b.rate.PerSecond()
			}
			if at := b.ready(); at.After(v.now) {
				l.Until, l.Binds = at, v.waiting()
			}
			v.add(l)
		}
	}
}

// waiting says whether anything of the bin waits in memory or is due in the spool.
func (v *survey) waiting() bool {
	due := v.b.due()
	return v.b.count > 0 || !due.IsZero() && !due.After(v.now)
}

// connections are the limits of how much goes on at once.
func (v *survey) connections(p *pool) {
	wants := v.b.count > 0 && len(p.idle) == 0
	perMessage := p.took.Seconds()
	at := func(n int) float64 {
		if perMessage == 0 {
			return 0
		}
		return float64(n) / perMessage
	}
	if n := v.b.most; n > 0 {
		v.add(PaceLimit{Name: "destination connections", Rate: at(n), Binds: v.b.count > 0 && v.b.away >= n, Reason: fmt.Sprintf("%d of %d", v.b.away, n)})
	}
	if o := p.provider; o != nil && o.most > 0 {
		v.add(PaceLimit{Name: "provider " + o.name + " connections", Binds: wants && o.full(), Reason: fmt.Sprintf("%d of %d", o.connections, o.most)})
	}
	limit := p.window.limit()
	v.add(PaceLimit{Name: "window", Rate: at(limit), Binds: wants && p.couriers >= limit, Reason: fmt.Sprintf("%d of %d connections", p.couriers, limit)})
	if n := p.window.taken; n > 0 {
		v.add(PaceLimit{Name: "connections that the site takes", Rate: at(n), Binds: wants && p.couriers >= n, Reason: fmt.Sprintf("%d, as seen %s", n, p.window.takenAt.Format(time.RFC3339))})
	}
	if s := v.s; wants && s.connections >= s.live().ConnectionsTotal {
		v.add(PaceLimit{Name: "connections_total", Binds: true, Reason: fmt.Sprintf("%d of %d connections", s.connections, s.live().ConnectionsTotal)})
	}
}

// memory is the room for what waits in the spool.
func (v *survey) memory() {
	if due := v.b.due(); !due.IsZero() && !due.After(v.now) && !v.s.hasRoom(v.b) {
		v.add(PaceLimit{Name: "memory", Binds: v.b.count == 0, Reason: "the rest waits in the spool"})
	}
}

// conclude names the limit that binds, which is the one that lasts longest among rates and else
// the first met, and the least of what the limits let pass.
func (v *survey) conclude() Pace {
	p := Pace{Limits: v.all}
	var until time.Time
	for _, l := range v.all {
		if l.Binds && (p.Binding == "" || !v.shut && l.Until.After(until)) {
			p.Binding, until = l.Name, l.Until
		}
		if l.Rate > 0 && !v.shut && (p.Reach == 0 || l.Rate < p.Reach) {
			p.Reach = l.Rate
		}
	}
	return p
}
