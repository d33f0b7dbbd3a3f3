package relay

// senders take turns at a site, whatever the destinations of their mail. All is of one rank.
type senders struct {
	// known are those with flows that are ready, and those that owe for what they were served.
	known map[Flow]*sender
	ready fair[*sender]
}

// sender is one sender's mail of one rank for the destinations at a site.
type sender struct {
	name  Flow
	ready fair[*flow]
	place *entrant[*sender]
}

// sendersRemembered bounds the senders that are known without having a flow.
const sendersRemembered = 128

// enter lets a flow have its sender's turns. Among those of the sender it begins with the present: what it
// had before is no matter between one sender's own mail.
func (q *senders) enter(f *flow) {
	s := q.known[f.name]
	if s == nil {
		s = &sender{name: f.name}
		s.place = newEntrant(s)
		if q.known == nil {
			q.known = make(map[Flow]*sender)
		}
		q.known[f.name] = s
	}
	f.sender, f.turn.clock = s, 0
	s.ready.enter(f.turn)
	q.ready.enter(s.place)
}

// leave ends a flow's turns. A sender without flows is remembered while it owes, and others wait.
func (q *senders) leave(f *flow) {
	s := f.sender
	if s == nil {
		return
	}
	f.sender = nil
	s.ready.leave(f.turn)
	if s.ready.len() > 0 {
		return
	}
	q.ready.leave(s.place)
	alone := q.ready.len() == 0
	if alone || s.place.clock <= q.ready.now {
		delete(q.known, s.name)
	}
	switch {
	case alone && len(q.known) > 0:
		q.known = nil
	case len(q.known)-q.ready.len() > sendersRemembered:
		q.forget()
	}
}

// forget drops the senders without flows that owe nothing; or all without flows, where that are few.
func (q *senders) forget() {
	for _, all := range []bool{false, true} {
		for name, s := range q.known {
			if s.ready.len() == 0 && (all || s.place.clock <= q.ready.now) {
				delete(q.known, name)
			}
		}
		if len(q.known)-q.ready.len() < sendersRemembered/2 {
			return
		}
	}
}

// next is the flow to be served, nil when there is none. Those whose lane takes no part, as their destination is held
// up, go to its bench: each is come upon once, however many wait for one destination.
func (q *senders) next() *flow {
	for s := q.ready.next(); s != nil; s = q.ready.next() {
		f := s.value.ready.next().value
		if f.lane.place.index >= 0 {
			return f
		}
		q.leave(f)
		f.turn.clock = 0 // the bench is served in the order of arrival
		f.lane.bench.enter(f.turn)
	}
	return nil
}

// charge books what a flow is served by its sender's turn.
func (q *senders) charge(f *flow, recipients int) {
	q.ready.charge(f.sender.place, float64(recipients)/f.weight)
	f.sender.ready.charge(f.turn, float64(recipients))
}
