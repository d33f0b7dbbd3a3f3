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

// benchReturns bounds the flows that come back from the bench when their lane takes part again. It is a few:
// a destination whose connections are limited takes part again for a single delivery.
const benchReturns = 8

// enter lets a lane take part.
func (t *turns) enter(l *lane) {
	if l.place.index >= 0 {
		return
	}
	r := &t.of[l.rank]
	if r.lanes.len() == 0 {
		r.clock = max(r.clock, t.now)
	}
	r.lanes.enter(l.place)
	for range min(benchReturns, l.bench.len()) {
		f := l.bench.next().value
		l.bench.leave(f.turn)
		r.senders.enter(f)
	}
}

func (t *turns) leave(l *lane) { t.of[l.rank].lanes.leave(l.place) }

// admit lets a flow with deliveries have its sender's turns. Without any it has none, nor has a lane without such
// flows.
func (t *turns) admit(f *flow) {
	if f.offered == 0 {
		t.dismiss(f)
	} else if f.turn.index < 0 {
		t.of[f.lane.rank].senders.enter(f)
	}
	if f.lane.count == 0 {
		t.leave(f.lane)
	}
}

// dismiss ends that a flow has its sender's turns.
func (t *turns) dismiss(f *flow) {
	t.of[f.lane.rank].senders.leave(f)
	f.lane.bench.leave(f.turn)
}

// next is the flow to be served, nil when there is none. Retries may be left out.
func (t *turns) next(retries bool) *flow {
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
	return t.of[best].next()
}

// next is the flow of the rank to be served.
func (r *turn) next() *flow {
	if r.bySender {
		if f := r.senders.next(); f != nil {
			return f
		}
	}
	return r.lanes.next().value.ready.next().value
}

// charge books what the flow that was next is served.
func (t *turns) charge(f *flow, recipients int) {
	r := &t.of[f.lane.rank]
	t.now = max(t.now, r.clock)
	r.clock += float64(recipients) / rankShares[f.lane.rank]
	if r.bySender && f.sender != nil {
		r.senders.charge(f, recipients)
	} else {
		r.lanes.charge(f.lane.place, float64(recipients))
		f.lane.charge(f, recipients)
	}
	r.bySender = !r.bySender
}

// waiting says whether any lane takes part.
func (t *turns) waiting() bool {
	for r := range t.of {
		if t.of[r].lanes.len() > 0 {
			return true
		}
	}
	return false
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
