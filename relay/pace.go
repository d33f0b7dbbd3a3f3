package relay

import "time"

// Pace is how fast mail can go to a destination, and what keeps it from going faster.
type Pace struct {
	// Limits are all that there are, the one that binds among them.
	Limits []PaceLimit
	// Binding is the name of the limit that keeps deliveries waiting now; "" when none does.
	Binding string
	// Until is when that limit lets the next delivery go; zero when that is not known.
	Until time.Time
	// Reach is how many messages a second the limits let pass, as far as is known; 0 when none can
	// pass or nothing is known.
	Reach float64
	// Source is the address that connections come from, where one is configured.
	Source string
	// Learned is what its site has taught.
	Learned Learned
	// Addresses are those of the site, as far as the Transport tells.
	Addresses []AddressHealth
	// MoreFlows are how many flows have rates beyond those among the Limits.
	MoreFlows int
}

// Learned is what the deliveries to a site have taught about it. It outlives a restart, but for Took,
// Size and Setbacks.
type Learned struct {
	// Window is how many connections the site is thought to bear, and Steady says that it has
	// been found by a setback: before, it doubles.
	Window int
	Steady bool
	// Connections is how many the site took when it refused one more, as seen at ConnectionsAt; 0
	// when it has not.
	Connections   int
	ConnectionsAt time.Time
	// PerConnection is after how many messages the site ends a connection, as seen at
	// PerConnectionAt; 0 when it is not known to.
	PerConnection   int
	PerConnectionAt time.Time
	// Took is how long a message took on a connection lately, and Size about how large messages
	// were, in bytes; 0 when none has gone.
	Took time.Duration
	Size int64
	// Setbacks counts attempts in a row that spoke against the site, Failures those in a row to
	// reach it.
	Setbacks, Failures int
}

// PaceLimit is one limit on the way to a destination.
type PaceLimit struct {
	// Name says what it is, such as "window" or "route internet: 30 messages/1m0s".
	Name string
	// Of is whose it is: operator, destination, route, flow, site, provider or relay.
	Of string
	// Rate is how many messages a second it lets pass; 0 where that is not known.
	Rate float64
	// Allows is what a limit of that kind allows; the zero Rate for others.
	Allows Rate
	// Left is how much of what Allows counts may go at once.
	Left int64
	// Used and Most are how many connections or deliveries of how many there are; 0 for others.
	Used, Most int
	// Until is when it lets the next one pass; zero when it does now, or when that is not known.
	Until time.Time
	// Binds says that it keeps deliveries waiting.
	Binds bool
	// Reason is more about it, in words.
	Reason string
}

// PaceOf shows the pace of a destination; false when nothing goes on there: then there are the
// rates of its route and its own, which count all the same.
func (s *Scheduler) PaceOf(to Destination) (Pace, bool) {
	v, site, known := s.survey(to)
	p := v.conclude()
	if site == nil {
		return p, known
	}
	p.Source = site.Source
	if t, ok := s.live().Transport.(Examiner); ok {
		p.Addresses = t.Examine(site)
	}
	return p, known
}

// conclude names the limit that binds, which is the one that lasts longest among rates and else
// the first met, and the least of what the limits let pass.
func (v *survey) conclude() Pace {
	p := Pace{Limits: v.all, Learned: v.learned, MoreFlows: v.moreFlows}
	for _, l := range v.all {
		if l.Of == paceFlow && !v.flowsBind {
			continue // others can go
		}
		if l.Binds && (p.Binding == "" || !v.shut && l.Until.After(p.Until)) {
			p.Binding, p.Until = l.Name, l.Until
		}
		if l.Of != paceFlow {
			p.reach(l.Rate)
		}
	}
	p.reach(v.flowReach)
	if v.shut {
		p.Reach = 0
	}
	return p
}

// reach takes what one limit lets pass.
func (p *Pace) reach(rate float64) {
	if rate > 0 && (p.Reach == 0 || rate < p.Reach) {
		p.Reach = rate
	}
}
