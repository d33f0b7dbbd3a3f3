package relay

// senders take turns at a site, whatever the destinations of their mail. All is of one rank.
type senders struct {
	// known are those with flows that are ready; owing those without, by what they were served.
	known, owing map[Flow]*sender
	ready        fair[*sender]
}

// sender is one sender's mail of one rank for the destinations at a site.
type sender struct {
	name Flow
	// flows counts its flows with deliveries. Turns has those that it may give when its turn comes, and held those
	// that its rates hold up, who come first first; the others are on the benches of their lanes.
	flows       int
	turns, held fair[*flow]
	place       *entrant[*sender]
	// wait is in the line for its rates, while any of its flows is held up.
	wait wait
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
	q.ready.enter(f.sender.place)
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
		s.place = newEntrant(s)
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
	q.unseat(f)
	f.sender = nil
	s.flows--
	if s.flows == 0 {
		f.lane.bin.limits.giveUp(&s.wait)
		delete(q.known, s.name)
		q.remember(s)
	}
}

// unseat takes a flow from its sender's turns, or from where it waits to have them again.
func (q *senders) unseat(f *flow) {
	s := f.sender
	switch {
	case f.held:
		f.held = false
		s.held.leave(f.turn)
		if s.held.len() == 0 {
			f.lane.bin.limits.leave(&s.wait)
		}
	case f.benched:
		f.benched = false
		f.lane.bench.leave(f.turn)
	default:
		s.turns.leave(f.turn)
		if s.turns.len() == 0 {
			q.ready.leave(s.place)
		}
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

// next is the flow to be served, nil when there is none. A flow whose lane takes no part, as its destination is held
// up, goes to the lane's bench: it is come upon once, however many wait for that destination.
func (q *senders) next() *flow {
	for e := q.ready.next(); e != nil; e = q.ready.next() {
		f := e.value.turns.next().value
		if f.lane.place.index >= 0 {
			return f
		}
		q.bench(f)
	}
	return nil
}

// hold keeps a flow from all turns that the sender's rates hold up. Who does so puts the sender in line for them.
func (q *senders) hold(f *flow) {
	q.unseat(f)
	f.held, f.turn.clock = true, 0
	f.sender.held.enter(f.turn)
}

// release lets a flow have its turns again, at its sender's old place, that was held up or on a bench.
func (q *senders) release(f *flow) {
	q.unseat(f)
	q.seat(f)
	q.ready.resume(f.sender.place)
}

// reload lets go of what rates held up that may be others now.
func (q *senders) reload() {
	for _, s := range q.known {
		for e := s.held.next(); e != nil; e = s.held.next() {
			q.release(e.value)
			e.value.lane.admit(e.value)
		}
	}
}

// bench keeps a flow from its sender's turns until its lane takes part again. The bench is in the order in which the
// senders waited.
func (q *senders) bench(f *flow) {
	q.unseat(f)
	f.benched, f.turn.clock = true, float64(f.sender.place.seq)
	f.lane.bench.enter(f.turn)
}

// unbench lets the first flows of a lane's bench have their senders' turns again, at their old places.
func (q *senders) unbench(l *lane) {
	for range min(benchReturns, l.bench.len()) {
		q.release(l.bench.next().value)
	}
}

// charge books what a flow is served by its sender's turn.
func (q *senders) charge(f *flow, recipients int) {
	q.ready.charge(f.sender.place, float64(recipients)/f.weight)
	f.sender.turns.charge(f.turn, float64(recipients))
}
