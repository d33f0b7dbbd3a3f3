package outbound

import (
	"sync"
	"time"

	"postrider/relay"
)

// Diversion says that mail of a route with a way around it takes that one, or does so no longer.
type Diversion struct {
	// From is the route, with the domain where it goes by MX.
	From relay.Destination
	// Until is when From is tried again, and Reply why it is left. Both are zero when From is
	// good again.
	Until time.Time
	Reply relay.Reply
}

// detours remembers which ways mail is led around, and until when. When its time is up a way is
// tried again; as long as it goes on to fail the times grow.
type detours struct {
	now    func() time.Time
	notify func(Diversion)

	mu sync.Mutex
	by map[relay.Destination]detour
}

// detour is what is known of a way that has failed.
type detour struct {
	// setbacks counts attempts in a row that spoke against it, failures how often in a row it was led around.
	setbacks, failures int
	until              time.Time
	reply              relay.Reply
	// inside says that it was left for what it said inside a session.
	inside bool
}

// detourSetbacks is how many attempts in a row may speak against a way that is good for sessions.
const detourSetbacks = 2

// detourTimes bound how long a way is left alone, the first time and at most. Limits are counted by
// the hour or day; wrong credentials lock accounts.
func detourTimes(c relay.Class) (first, most time.Duration) {
	switch c {
	case relay.ClassRate:
		return 10 * time.Minute, time.Hour
	case relay.ClassAuth:
		return time.Minute, 15 * time.Minute
	}
	return 30 * time.Second, 5 * time.Minute
}

func newDetours(o *Options) *detours {
	return &detours{now: o.Now, notify: o.Diverted, by: make(map[relay.Destination]detour)}
}

// choose gives the index of the way to take now: the first that is not left alone. When all are,
// it is the first that is not left for its credentials: those are not tried out of turn.
func (d *detours) choose(ways []way) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	now, best := d.now(), -1
	for i := range ways {
		known, bad := d.by[ways[i].to]
		switch {
		case !bad || !now.Before(known.until):
			return i
		case best < 0 && known.reply.Class != relay.ClassAuth:
			best = i
		}
	}
	return max(best, 0)
}

// left says that the way is left alone now, and why.
func (d *detours) left(to relay.Destination) (*relay.Reply, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	known, bad := d.by[to]
	if !bad || !d.now().Before(known.until) {
		return nil, false
	}
	return &known.reply, true
}

// failed says that the way has failed before and nothing has shown yet that it is good again.
func (d *detours) failed(to relay.Destination) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.by[to].failures > 0
}

// leave leads mail around the way for some time. Inside says that it is for what it said inside a
// session, which another session does not disprove.
func (d *detours) leave(to relay.Destination, reply relay.Reply, inside bool) {
	d.mu.Lock()
	known := d.by[to]
	now := d.now()
	if now.Before(known.until) && known.reply.Class == reply.Class {
		d.mu.Unlock() // others that were under way met the same
		return
	}
	if len(d.by) >= memorySize {
		clear(d.by)
	}
	first, most := detourTimes(reply.Class)
	known = detour{failures: known.failures + 1, reply: reply, inside: inside}
	known.until = now.Add(min(first<<min(known.failures-1, 10), most))
	known.reply.Err = nil
	d.by[to] = known
	d.mu.Unlock()
	d.notify(Diversion{From: to, Until: known.until, Reply: reply})
}

// setback counts an attempt that speaks against the way; outright says that one is enough.
func (d *detours) setback(to relay.Destination, reply relay.Reply, outright bool) {
	d.mu.Lock()
	known := d.by[to]
	known.setbacks++
	if len(d.by) >= memorySize {
		clear(d.by)
	}
	d.by[to] = known
	d.mu.Unlock()
	if outright || known.setbacks >= detourSetbacks {
		d.leave(to, reply, true)
	}
}

// opened notes that the way is good for a session. Where it was left for what it said inside one,
// only a message that it takes shows that it is good again.
func (d *detours) opened(to relay.Destination) {
	d.mu.Lock()
	known := d.by[to]
	d.mu.Unlock()
	if known.failures > 0 && !known.inside {
		d.pass(to)
	}
}

// delivered notes that the way took a message. One that was under way when it was left says
// nothing.
func (d *detours) delivered(to relay.Destination) {
	if _, left := d.left(to); !left {
		d.pass(to)
	}
}

// forgive tries the route's ways again at once, where their credentials were refused and an operator
// says that it is worth it. Failures go on to count, so that a login that is refused again waits
// longer.
func (d *detours) forgive(is func(relay.Destination) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for to, known := range d.by {
		if known.reply.Class == relay.ClassAuth && is(to) {
			known.until = time.Time{}
			d.by[to] = known
		}
	}
}

// pass forgets what was against the way.
func (d *detours) pass(to relay.Destination) {
	d.mu.Lock()
	known, bad := d.by[to]
	delete(d.by, to)
	d.mu.Unlock()
	if bad && known.failures > 0 {
		d.notify(Diversion{From: to})
	}
}
