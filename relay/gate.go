package relay

import "time"

// gate closes the way to a destination or site that cannot be reached. While it is closed
// nothing is tried, at no cost per message, but for one probe when until has come. Its
// methods are functions of the time that they are given.
type gate struct {
	// failures counts those in a row; 0 means that the gate is open.
	failures int
	// before counts the failures of earlier times, as long as nothing has succeeded since: a
	// host that answers and then hangs up on everything is not new to failing.
	before int
	// since is when the first of all these failures was counted; zero when that is not known.
	since time.Time
	// failed is when the latest failure was counted.
	failed time.Time
	until  time.Time
	reply  Reply
}

// The waits between probes. A smart host is the only way out for all its mail and is
// ours, so it is probed within seconds, for as long as there is nobody to speak with: one that says
// no is left alone for longer. So is a stranger's host, and a smart host that refuses our credentials:
// it would lock the account.
const (
	smartProbeFirst = time.Second
	smartProbeGone  = 4 * time.Second
	smartProbeMax   = time.Minute
	probeFirst      = 15 * time.Second
	probeMax        = 15 * time.Minute
)

// nobody says that the reply is our own word for a host that has no address or does not answer: X.4.1 and X.4.3 of
// RFC 3463 section 3.5. What a next hop says has a class.
func nobody(reply Reply) bool {
	return reply.Class == ClassNone && (reply.Enhanced == EnhancedCode{4, 4, 1} || reply.Enhanced == EnhancedCode{4, 4, 3})
}

// open says whether traffic may pass.
func (g *gate) open() bool { return g.failures == 0 }

// probe says whether one try is due.
func (g *gate) probe(now time.Time) bool { return g.open() || !now.Before(g.until) }

// fail counts a failure of something begun at the given time. Several that were begun before
// the latest failure count once: they are one event. No wait is longer than the time for which all has
// failed, so that what was away for a moment is not looked for much later. It says whether the gate
// was open.
func (g *gate) fail(began, now time.Time, smart bool, chance float64, reply Reply) (closed bool) {
	if !g.open() && began.Before(g.failed) {
		return false
	}
	first, most := probeFirst, probeMax
	if smart && reply.Class != ClassAuth {
		first, most = smartProbeFirst, smartProbeMax
		if nobody(reply) {
			most = smartProbeGone
		}
	}
	if g.failures++; g.before+g.failures == 1 {
		g.since = now
	}
	if !g.since.IsZero() {
		most = min(most, max(first, now.Sub(g.since)))
	}
	g.failed, g.reply = now, reply
	g.reply.Err = nil // there may be a gate for each of many destinations
	g.until = now.Add(jitter(first, most, 2, g.before+g.failures, chance))
	return g.failures == 1
}

// try opens the gate to see whether the way is good, which pass or fail will tell. It says
// whether it was closed.
func (g *gate) try() (opened bool) {
	opened = !g.open()
	*g = gate{before: g.before + g.failures, since: g.since}
	return opened
}

// pass opens the gate and forgets all failures. It says whether it was closed.
func (g *gate) pass() (opened bool) {
	opened = !g.open()
	*g = gate{}
	return opened
}
