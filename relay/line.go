package relay

import "time"

// line is who waits for a bucket to have something for them. Flows take turns in it, and within a flow goes on who came
// first: mail of one sender for thousands of places leaves others theirs. One of a lower rank comes the less often.
//
// Who is let on needs time to make use of that, as there may be no connection yet, and some never do, as their host is
// dead. So they are let on at the pace of the rate, whether those before have taken theirs or not, and somebody else is for
// one who has not after a while. Who comes and finds nothing waits at the front. It is guarded by the Scheduler's mu, as
// all in this file is.
type line struct {
	front   fair[waiter]
	parties fair[*party]
	of      map[Flow]*party
	// paced is when the next is let on. Booked is for how much of that those stand who were, or open connections, and have
	// taken nothing yet; out has when the latest of those who were let on were, the first first, and again is for how many
	// others may be in their place.
	paced  time.Time
	booked time.Duration
	out    []time.Time
	again  int
	// fronts counts those who were let on from the front and have taken nothing yet.
	fronts int
}

// party is who waits in a line for the sake of one flow.
type party struct {
	flow  Flow
	waits fair[waiter]
	place *entrant[*party]
}

// wait is somebody's place in a line. The zero wait is in none.
type wait struct {
	at *bucket
	// party is nil at the front.
	party *party
	place *entrant[waiter]
	// pass says that it was let on, or opens a connection, and has taken nothing since: it may do so past those who
	// wait.
	pass bool
	// From is the bucket that let it on, if one did: so many times for which it has taken nothing, booked there for
	// that time in all, and so many of them counted in out.
	from      *bucket
	lets, out int
	booked    time.Duration
	// front is the bucket that let it on from the front of its line.
	front *bucket
}

// waiter is what rates hold up: a pool as a whole, a bin, or the mail of a sender at a site.
type waiter interface {
	// goOn takes the waiter from the line and lets it on, if there is anything to go on with.
	goOn(s *Scheduler, by *bucket, now time.Time)
}

const (
	// lineMost is how many are let on at once, lineTick the time after which more are.
	lineMost = 64
	lineTick = time.Millisecond
	// outMost is how long one who was let on has for taking what that is for, before somebody else is let on for it.
	outMost = 10 * time.Second
)

// in says whether it is in a line.
func (w *wait) in() bool { return w.at != nil }

// leave takes it out of its line.
func (w *wait) leave() {
	if w.at == nil {
		return
	}
	if y := w.party; y != nil {
		y.waits.leave(w.place)
		if y.waits.len() == 0 {
			w.at.line.parties.leave(y.place)
			delete(w.at.line.of, y.flow)
		}
	} else {
		w.at.line.front.leave(w.place)
	}
	w.at, w.party = nil, nil
}

// letOn takes it out of its line with a pass.
func (w *wait) letOn(now time.Time) {
	by, front := w.at, w.party == nil
	w.leave()
	if w.pass = true; front {
		w.front = by
		by.line.fronts++
		return
	}
	for w.from != by && w.lets > 0 {
		w.arrived()
		w.unbook()
	}
	w.from = by
	w.lets++
	w.out++
	if l := &by.line; l.again > 0 {
		l.again--
	} else {
		by.book(by.cost(1), now)
		w.booked += by.cost(1)
	}
	by.line.out = append(by.line.out, now)
}

// book moves on when the next is let on.
func (b *bucket) book(d time.Duration, now time.Time) {
	b.line.paced = b.paced(now).Add(d)
	b.line.booked += d
}

// arrived says that it has taken something, or has come for that to the front.
func (w *wait) arrived() {
	if w.front != nil {
		w.front.line.fronts--
		w.front = nil
	}
	if w.out == 0 {
		return
	}
	if w.out--; len(w.from.line.out) > 0 {
		w.from.line.out = w.from.line.out[1:]
	}
}

// spent says that it has taken something.
func (w *wait) spent() {
	w.arrived()
	if w.lets > 0 {
		w.unbook()
	}
	if w.lets == 0 {
		w.pass, w.from = false, nil
	}
}

// unbook ends one of the times for which it is booked.
func (w *wait) unbook() {
	each := w.booked / time.Duration(w.lets)
	w.from.line.booked -= each
	w.from.line.paced = w.from.line.paced.Add(-each)
	w.booked -= each
	w.lets--
}

// spent says that somebody has taken something: others may go on the sooner, or the later.
func (l *limiter) spent(w *wait) {
	from, front := w.from, w.front
	w.spent()
	l.look(from)
	l.look(front)
}

// look sets the alarm anew of a bucket, if it is one, after something about its line has changed.
func (l *limiter) look(by *bucket) {
	if by != nil {
		l.expect(by, time.Time{})
	}
}

// lookAll does so for all buckets of some meters.
func (l *limiter) lookAll(ms meters) {
	for _, m := range ms {
		for i := range m.buckets {
			l.look(&m.buckets[i])
		}
	}
}

// leave takes somebody out of the line.
func (l *limiter) leave(w *wait) {
	at := w.at
	w.leave()
	l.look(at)
}

// giveUp says of somebody who wants nothing any more: it leaves the line, and what it was let on for goes to others.
func (l *limiter) giveUp(w *wait) {
	l.leave(w)
	for w.pass {
		l.spent(w)
	}
}

// empty says that nobody waits.
func (l *line) empty() bool { return l.front.len()+l.parties.len() == 0 }

// turnCost is what a turn of a flow costs in a line.
func turnCost(name Flow) float64 { return 1 / rankShares[name.rank()] }

// party finds or makes that of a flow. A new one waits for a turn: one that came back at once would be first again.
func (l *line) party(name Flow) *party {
	y := l.of[name]
	if y == nil {
		y = &party{flow: name}
		y.place = newEntrant(y)
		if l.of == nil {
			l.of = make(map[Flow]*party)
		}
		l.of[name] = y
		y.place.clock = l.parties.now + turnCost(name)
		l.parties.enter(y.place)
	}
	return y
}

// sooner says whether somebody in line would have a turn sooner for another flow's sake.
func (w *wait) sooner(name Flow) bool {
	if w.party == nil || w.party.flow == name {
		return false
	}
	// Some that were between have left: it is no fewer than there are, nor more than all.
	before := float64(min(w.place.seq-w.party.waits.next().seq, uint64(w.party.waits.len()-1)))
	others := 0
	if y := w.at.line.of[name]; y != nil {
		others = y.waits.len()
	}
	return float64(others)*turnCost(name) < before*turnCost(w.party.flow)
}

// await puts somebody in line for a bucket for a flow's sake: at the front, who has a pass. Who is there already keeps the
// place.
func (l *limiter) await(w *wait, who waiter, name Flow, by *bucket) {
	if w.at == by && (w.party == nil || !w.pass) {
		return
	}
	l.join(w, who, name, by, w.pass)
}

// again lets somebody on for whom that was in vain, or to the front.
func (l *limiter) again(w *wait, who waiter, name Flow) {
	if w.pass = true; w.in() {
		l.await(w, who, name, w.at)
	}
}

// hasten moves somebody in line to where the turn comes sooner for another flow's sake, if it does.
func (l *limiter) hasten(w *wait, who waiter, name Flow) {
	if w.in() && w.sooner(name) {
		l.join(w, who, name, w.at, false)
	}
}

func (l *limiter) join(w *wait, who waiter, name Flow, by *bucket, front bool) {
	l.leave(w)
	if w.place == nil {
		w.place = newEntrant(who)
	}
	w.at, w.place.clock = by, 0
	if front {
		w.arrived()
		if w.lets == 0 { // it opened a connection without having been let on
			w.from, w.lets, w.booked = by, 1, by.cost(1)
			by.book(w.booked, l.now())
		}
		by.line.front.enter(w.place)
	} else {
		w.party = by.line.party(name)
		w.party.waits.enter(w.place)
	}
	l.expect(by, time.Time{})
}

// expect sets the alarm for who is next in line for a bucket, no earlier than given.
func (l *limiter) expect(by *bucket, least time.Time) {
	if by.line.empty() {
		return
	}
	if by.alarm == nil {
		by.alarm = newAlarm(by)
	}
	at := later(by.due(l.now()), least)
	l.alarms.set(by.alarm, at)
	l.wake(at)
}

// due is when somebody in line is to be let on, as it is now.
func (b *bucket) due(now time.Time) time.Time {
	switch {
	case b.line.front.len() > 0:
		return b.forFront()
	case b.line.again > 0:
		return now
	}
	at := b.paced(now)
	if out := b.line.out; len(out) > 0 && out[0].Add(outMost).Before(at) {
		at = out[0].Add(outMost)
	}
	return at
}

// paced is when the next of the parties is let on by the rate. That is no sooner than if the bucket was full and nobody
// had been, and no later than if all who were come to take their due.
func (b *bucket) paced(now time.Time) time.Time {
	burst := b.after(b.burst() - 1)
	if latest := later(b.full, now).Add(b.line.booked - burst); latest.Before(b.line.paced) {
		b.line.paced = latest
	}
	b.line.paced = later(b.line.paced, now.Add(-burst))
	return b.line.paced
}

// forFront is when the next at the front is let on: there is something for it besides those who were before.
func (b *bucket) forFront() time.Time { return b.ready().Add(b.cost(int64(b.line.fronts))) }

// letOn lets on those in line for a bucket whose time has come.
func (s *Scheduler) letOn(by *bucket, now time.Time) {
	l := &by.line
	for range lineMost {
		e := l.front.next()
		if e == nil || by.forFront().After(now) {
			break
		}
		e.value.goOn(s, by, now)
	}
	for ; len(l.out) > 0 && !l.out[0].Add(outMost).After(now); l.out = l.out[1:] {
		l.again++
	}
	for range lineMost {
		e := l.parties.next()
		if e == nil || l.again == 0 && by.paced(now).After(now) {
			break
		}
		l.parties.charge(e, turnCost(e.value.flow))
		e.value.waits.next().value.goOn(s, by, now)
	}
	if l.parties.len() == 0 {
		l.again = 0
	}
	s.limits.expect(by, now.Add(lineTick))
}

// goOn has the pool use what its site, route or provider has for it.
func (p *pool) goOn(s *Scheduler, by *bucket, now time.Time) {
	for _, w := range []*wait{&p.rate, &p.dial} {
		if w.at != by {
			continue
		}
		if w.letOn(now); !p.turns.waiting() {
			s.limits.giveUp(w)
		}
	}
	s.pump(p)
}

// goOn has the bin take part in the turns of its pool again.
func (b *bin) goOn(s *Scheduler, _ *bucket, now time.Time) {
	if b.wait.letOn(now); b.count == 0 {
		s.limits.giveUp(&b.wait)
	}
	s.advance(b)
}

// goOn lets the first flow on that the sender's rates hold up at the site. The others wait at the end of the line.
func (s *sender) goOn(sc *Scheduler, by *bucket, now time.Time) {
	s.wait.letOn(now)
	f := s.held.next().value
	b := f.lane.bin
	b.pool.turns.release(f)
	if s.held.len() > 0 {
		sc.limits.join(&s.wait, s, f.name, by, false)
	}
	b.review(f)
	sc.advance(b)
}
