package relay

// lane is the part of a bin that is of one rank: the flows with deliveries in memory. Fields
// are guarded by the Scheduler's mu.
type lane struct {
	bin   *bin
	rank  rank
	ready fair[*flow]
	// count is how many deliveries the flows in ready have.
	count int
	place *entrant[*lane]
}

// lane finds or makes the bin's lane of a rank.
func (b *bin) lane(r rank) *lane {
	for _, l := range b.lanes {
		if l.rank == r {
			return l
		}
	}
	l := &lane{bin: b, rank: r}
	l.place = newEntrant(l)
	b.lanes = append(b.lanes, l)
	return l
}

// admit lets a flow with deliveries take part, or takes it out. A flow that its rates hold up has
// none to give.
func (l *lane) admit(f *flow) {
	give := len(f.queue)
	if f.slow.index >= 0 {
		give = 0
	}
	l.count += give - f.offered
	f.offered = give
	if give > 0 {
		l.ready.enter(f.place)
	} else {
		l.ready.leave(f.place)
	}
}

// turns share a pool's slots among the ranks.
type turns struct {
	lanes [ranks]fair[*lane]
	clock [ranks]float64
	now   float64
}

// enter lets a lane take part.
func (t *turns) enter(l *lane) {
	if l.place.index >= 0 {
		return
	}
	if t.lanes[l.rank].len() == 0 {
		t.clock[l.rank] = max(t.clock[l.rank], t.now)
	}
	t.lanes[l.rank].enter(l.place)
}

func (t *turns) leave(l *lane) { t.lanes[l.rank].leave(l.place) }

// next is the lane to be served, nil when there is none. Retries may be left out.
func (t *turns) next(retries bool) *lane {
	best := ranks
	for r := range ranks {
		if t.lanes[r].len() == 0 || r.retry() && !retries {
			continue
		}
		if best == ranks || t.clock[r] < t.clock[best] {
			best = r
		}
	}
	if best == ranks {
		return nil
	}
	return t.lanes[best].next().value
}

// charge books what a lane has been served.
func (t *turns) charge(l *lane, recipients int) {
	t.now = max(t.now, t.clock[l.rank])
	t.clock[l.rank] += float64(recipients) / rankShares[l.rank]
	t.lanes[l.rank].charge(l.place, float64(recipients))
}

// waiting says whether any lane takes part.
func (t *turns) waiting() bool {
	for r := range t.lanes {
		if t.lanes[r].len() > 0 {
			return true
		}
	}
	return false
}

// backlog says whether at least n deliveries wait.
func (t *turns) backlog(n int) bool {
	for r := range t.lanes {
		for _, e := range t.lanes[r].heap {
			if n -= e.value.count; n <= 0 {
				return true
			}
		}
	}
	return false
}
