package relay

import "time"

// line is who waits for a bucket to have something for them. Flows take turns in it, by the shares of their ranks,
// and within a flow goes on who came first: mail of one sender for thousands of places leaves others theirs.
// It is guarded by the Scheduler's mu, as all in this file is.
type line struct {
	ready fair[*party]
	of    map[Flow]*party
}

// party is who waits in a line for the sake of one flow.
type party struct {
	flow  Flow
	waits fair[waiter]
	place *entrant[*party]
}

// wait is somebody's place in a line. The zero wait is in none.
type wait struct {
	at    *bucket
	party *party
	place *entrant[waiter]
	// pass says that it was let go on and has taken nothing since: it may do so past those who wait.
	pass bool
}

// waiter is what rates hold up: a pool as a whole, the mail of a sender at a site, or a bin.
type waiter interface {
	// goOn uses what the bucket has for it, now or as soon as it can.
	goOn(s *Scheduler, by *bucket)
}

const (
	// lineMost is how many go on at once.
	lineMost = 64
	// Where those that go on leave something in the bucket, as they have no connection yet, the next go on when
	// as much has come in as the bucket holds, but within these bounds.
	linePauseLeast = 10 * time.Millisecond
	linePauseMost  = time.Second
)

// in says whether it is in a line.
func (w *wait) in() bool { return w.at != nil }

// leave takes it out of its line.
func (w *wait) leave() {
	if w.at == nil {
		return
	}
	l := &w.at.line
	w.party.waits.leave(w.place)
	if w.party.waits.len() == 0 {
		l.ready.leave(w.party.place)
		delete(l.of, w.party.flow)
	}
	w.at, w.party = nil, nil
}

func (l *line) len() int { return l.ready.len() }

// before is how many wait for the sake of a flow.
func (l *line) before(name Flow) int {
	if y := l.of[name]; y != nil {
		return y.waits.len()
	}
	return 0
}

// party finds or makes that of a flow.
func (l *line) party(name Flow) *party {
	y := l.of[name]
	if y == nil {
		y = &party{flow: name}
		y.place = newEntrant(y)
		if l.of == nil {
			l.of = make(map[Flow]*party)
		}
		l.of[name] = y
		l.ready.enter(y.place)
	}
	return y
}

// await puts somebody in line for a bucket, for a flow's sake. Who is there already keeps the place, unless fewer are
// before it with this flow.
func (l *limiter) await(w *wait, who waiter, name Flow, by *bucket) {
	if w.at == by && by.line.before(name) >= w.party.waits.len() {
		return
	}
	w.leave()
	if w.place == nil {
		w.place = newEntrant(who)
	}
	w.at, w.party = by, by.line.party(name)
	w.place.clock = 0
	w.party.waits.enter(w.place)
	if by.alarm == nil {
		by.alarm = newAlarm(by)
	}
	if by.alarm.index < 0 {
		l.alarms.set(by.alarm, by.ready())
	}
}

// letOn lets as many of those who wait for the bucket go on as it has something for.
func (s *Scheduler) letOn(by *bucket, now time.Time) {
	for range min(by.left(now), lineMost) {
		e := by.line.ready.next()
		if e == nil || by.ready().After(now) {
			break
		}
		by.line.ready.charge(e, 1/rankShares[e.value.flow.rank()])
		e.value.waits.next().value.goOn(s, by)
	}
	if by.line.len() > 0 {
		s.limits.alarms.set(by.alarm, later(by.ready(), now.Add(by.pause())))
	}
}

// bringForward has those go on in time who wait for buckets that were given something back.
func (s *Scheduler) bringForward(ms meters) {
	for _, m := range ms {
		for i := range m.buckets {
			if b := &m.buckets[i]; b.line.len() > 0 && b.ready().Before(b.alarm.at) {
				s.limits.alarms.set(b.alarm, b.ready())
				s.wakeTimer(b.ready())
			}
		}
	}
}

// pause is how long those who went on have before others do too.
func (b *bucket) pause() time.Duration {
	return min(max(b.after(b.burst()), linePauseLeast), linePauseMost)
}

// goOn has the pool use what its site, route or provider has for it.
func (p *pool) goOn(s *Scheduler, by *bucket) {
	for _, w := range []*wait{&p.rate, &p.dial} {
		if w.at == by {
			w.leave()
			w.pass = true
		}
	}
	s.pump(p)
}

// goOn has the bin take part in the turns of its pool again.
func (b *bin) goOn(s *Scheduler, _ *bucket) {
	b.wait.leave()
	b.wait.pass = true
	s.advance(b)
}

// goOn lets the first flow go on that waits for the sender's rates. The others wait at the end of the line.
func (s *sender) goOn(sc *Scheduler, by *bucket) {
	s.wait.leave()
	f := s.held.next().value
	b := f.lane.bin
	b.pool.turns.release(f)
	f.pass = true
	if s.held.len() > 0 {
		sc.limits.await(&s.wait, s, f.name, by)
	}
	b.review(f)
	sc.advance(b)
}
