package relay

// turns share a pool's slots, by rank first. Of a rank's slots every other one goes by destination, to the lane
// that had least and there to the flow that had least, and those between by sender: so neither mail of one
// sender for many destinations nor mail of many senders for one destination is before what others send.
type turns struct {
	of [ranks]turn
	// now is the clock of the rank served last.
	now float64
}

// turn is what waits of one rank. Lanes and senders each pay for the slots that went by them.
type turn struct {
	lanes   fair[*lane]
	senders senders
	clock   float64
	// bySender says what the next slot goes by.
	bySender bool
}

// enter lets a lane take part; again says that it was kept from that by its limits.
func (t *turns) enter(l *lane, again bool) {
	r := &t.of[l.rank]
	switch {
	case l.place.index >= 0:
		return
	case r.lanes.len() == 0:
		r.clock = max(r.clock, t.now)
	}
	if again {
		r.lanes.resume(l.place)
	} else {
		r.lanes.enter(l.place)
	}
	r.senders.unbench(l)
}

func (t *turns) leave(l *lane) { t.of[l.rank].lanes.leave(l.place) }

// admit lets a flow with deliveries have its sender's turns. Without any it has none, nor has a lane without such
// flows.
func (t *turns) admit(f *flow) {
	if len(f.queue) == 0 {
		t.dismiss(f)
	} else if f.sender == nil {
		t.of[f.lane.rank].senders.enter(f)
	}
	if f.lane.count == 0 {
		t.leave(f.lane)
	}
}

// hold keeps a flow from its turns that its sender's rates hold up.
func (t *turns) hold(f *flow) {
	t.of[f.lane.rank].senders.hold(f)
	f.lane.admit(f)
}

// release ends that.
func (t *turns) release(f *flow) {
	t.of[f.lane.rank].senders.release(f)
	f.lane.admit(f)
}

// reload lets all flows have their turns that rates held up, which may be others now.
func (t *turns) reload() {
	for r := range t.of {
		t.of[r].senders.reload()
	}
}

// dismiss ends that a flow has its sender's turns.
func (t *turns) dismiss(f *flow) { t.of[f.lane.rank].senders.leave(f) }

// turn is that of the rank to be served, nil when there is none. Retries may be left out.
func (t *turns) turn(retries bool) *turn {
	best := ranks
	for r := range ranks {
		if t.of[r].lanes.len() == 0 || r.retry() && !retries {
			continue
		}
		if best == ranks || t.of[r].clock < t.of[best].clock {
			best = r
		}
	}
	if best == ranks {
		return nil
	}
	return &t.of[best]
}

// next is the flow to be served, nil when there is none, and whether it is its sender's turn.
func (t *turns) next(retries bool) (f *flow, bySender bool) {
	r := t.turn(retries)
	if r == nil {
		return nil, false
	}
	if r.bySender {
		if f := r.senders.next(); f != nil {
			return f, true
		}
	}
	return r.lanes.next().value.ready.next().value, false
}

// first is the flow to be served when it goes by destination, nil when there is none.
func (t *turns) first() *flow {
	if r := t.turn(true); r != nil {
		return r.lanes.next().value.ready.next().value
	}
	return nil
}

// waiting says whether any lane takes part.
func (t *turns) waiting() bool { return t.turn(true) != nil }

// charge books what the flow that was next is served. One that is served by its sender's turn owes for it in its
// lane, no more than the once: it is not to be forgotten there.
func (t *turns) charge(f *flow, bySender bool, recipients int) {
	r := &t.of[f.lane.rank]
	t.now = max(t.now, r.clock)
	r.clock += float64(recipients) / rankShares[f.lane.rank]
	if bySender {
		r.senders.charge(f, recipients)
		f.lane.ready.owe(f.place, float64(recipients)/f.weight)
	} else {
		r.lanes.charge(f.lane.place, float64(recipients))
		f.lane.charge(f, recipients)
	}
	r.bySender = !r.bySender
	r.senders.unbench(f.lane)
}

// backlog says whether at least n deliveries wait.
func (t *turns) backlog(n int) bool {
	for r := range t.of {
		for _, e := range t.of[r].lanes.heap {
			if n -= e.value.count; n <= 0 {
				return true
			}
		}
	}
	return false
}
