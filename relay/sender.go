package relay

import "time"

// senders take turns at a site, whatever the destinations of their mail. All is of one rank.
type senders struct {
	// known are those with flows that are ready; owing those without, by what they were served.
	known, owing map[Flow]*sender
	ready        fair[*sender]
	// slow has those that their rates hold up, by when they may go on. They are woken at somebody's turn: where
	// there is none, the flows of a sender are woken one by one.
	slow alarms[*sender]
}

// sender is one sender's mail of one rank for the destinations at a site.
type sender struct {
	name Flow
	// flows counts its flows that are ready. Turns has those that it may give when its turn comes, and the
	// others are on the benches of their lanes.
	flows int
	turns fair[*flow]
	place *entrant[*sender]
	slow  *alarm[*sender]
}

const (
	// sendersRemembered bounds the senders that are known without having a flow.
	sendersRemembered = 128
	// benchReturns is how many flows come back from the bench of a lane as it takes part again, and with each
	// delivery while it does. It is few: a destination whose connections are limited takes part again for a single
	// delivery.
	benchReturns = 2
)

// enter lets a flow have its sender's turns.
func (q *senders) enter(f *flow) {
	f.sender = q.sender(f.name)
	f.sender.flows++
	q.seat(f)
	if f.sender.slow.index < 0 {
		q.ready.enter(f.sender.place)
	}
}

// seat has a flow among those that its sender may give. It begins with the present: what it had before is no
// matter between one sender's own mail.
func (q *senders) seat(f *flow) {
	f.turn.clock = 0
	f.sender.turns.enter(f.turn)
}

// sender finds or makes the sender of that name.
func (q *senders) sender(name Flow) *sender {
	s := q.known[name]
	if s != nil {
		return s
	}
	if s = q.owing[name]; s != nil {
		delete(q.owing, name)
	} else {
		s = &sender{name: name}
		s.place, s.slow = newEntrant(s), newAlarm(s)
	}
	if q.known == nil {
		q.known = make(map[Flow]*sender)
	}
	q.known[name] = s
	return s
}

// leave ends a flow's turns. A sender without flows is remembered while it owes, and others wait.
func (q *senders) leave(f *flow) {
	s := f.sender
	if s == nil {
		return
	}
	f.sender = nil
	s.flows--
	if f.benched {
		f.benched = false
		f.lane.bench.leave(f.turn)
	} else {
		s.turns.leave(f.turn)
	}
	if s.turns.len() == 0 {
		q.ready.leave(s.place)
	}
	if s.flows == 0 {
		q.slow.set(s.slow, time.Time{})
		delete(q.known, s.name)
		q.remember(s)
	}
}

// remember keeps a sender without flows in mind that owes. At a site where nobody waits nobody owes.
func (q *senders) remember(s *sender) {
	switch {
	case len(q.known) == 0:
		q.known, q.owing = nil, nil
	case s.place.clock > q.ready.now:
		if q.owing == nil {
			q.owing = make(map[Flow]*sender)
		}
		q.owing[s.name] = s
		if len(q.owing) > sendersRemembered {
			q.forget()
		}
	}
}

// forget drops the senders that owe nothing any more. Where that are few it drops all, and time goes on to where the
// first of them owed nothing, but by one message at most past who waits longest: they come back with the present,
// and would pass those who always have mail for ever.
func (q *senders) forget() {
	least := 0.0
	for name, s := range q.owing {
		if s.place.clock <= q.ready.now {
			delete(q.owing, name)
		} else if least == 0 || s.place.clock < least {
			least = s.place.clock
		}
	}
	if len(q.owing) > sendersRemembered/2 {
		clear(q.owing)
		if first := q.ready.next(); first != nil {
			least = min(least, first.clock+1)
		}
		q.ready.now = max(q.ready.now, least)
	}
}

// next is the flow to be served, nil when there is none. A sender whose rates hold it up is left out for as
// long. A flow whose lane takes no part, as its destination is held up, goes to the lane's bench: it is come upon
// once, however many wait for that destination.
func (q *senders) next(now time.Time) *flow {
	for a := q.slow.due(now); a != nil; a = q.slow.due(now) {
		q.goOn(a.value)
	}
	for e := q.ready.next(); e != nil; e = q.ready.next() {
		s := e.value
		f := s.turns.next().value
		switch at := f.meters.ready(oneMessage); {
		case at.After(now):
			q.ready.leave(s.place)
			q.slow.set(s.slow, at)
		case f.lane.place.index < 0:
			q.bench(f)
		default:
			return f
		}
	}
	return nil
}

// goOn lets a sender take its turns again whose rates have held it up.
func (q *senders) goOn(s *sender) {
	if s.turns.len() > 0 {
		q.ready.resume(s.place)
	}
}

// reload forgets what rates held up that may be others now.
func (q *senders) reload() {
	for a := q.slow.first(); a != nil; a = q.slow.first() {
		q.slow.set(a, time.Time{})
		q.goOn(a.value)
	}
}

// bench keeps a flow from its sender's turns until its lane takes part again. The bench is in the order in which the
// senders waited.
func (q *senders) bench(f *flow) {
	s := f.sender
	s.turns.leave(f.turn)
	if s.turns.len() == 0 {
		q.ready.leave(s.place)
	}
	f.benched, f.turn.clock = true, float64(s.place.seq)
	f.lane.bench.enter(f.turn)
}

// unbench lets the first flows of a lane's bench have their senders' turns again, at their old places.
func (q *senders) unbench(l *lane) {
	for range min(benchReturns, l.bench.len()) {
		f := l.bench.next().value
		l.bench.leave(f.turn)
		f.benched = false
		q.seat(f)
		if f.sender.slow.index < 0 {
			q.ready.resume(f.sender.place)
		}
	}
}

// charge books what a flow is served by its sender's turn.
func (q *senders) charge(f *flow, recipients int) {
	q.ready.charge(f.sender.place, float64(recipients)/f.weight)
	f.sender.turns.charge(f.turn, float64(recipients))
}
