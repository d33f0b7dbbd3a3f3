package relay

// lane is the part of a bin that is of one rank: the flows with deliveries in memory. Fields
// are guarded by the Scheduler's mu.
type lane struct {
	bin   *bin
	rank  rank
	ready fair[*flow]
	// count is how many deliveries the flows in ready have.
	count int
	// place is the lane's among those of its rank in the pool, while it takes part.
	place *entrant[*lane]
	// bench has flows that a sender's turn came to while the lane took no part.
	bench fair[*flow]
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

// admit lets a flow with deliveries take part, or takes it out. A flow that its sender's rates hold up has
// none to give.
func (l *lane) admit(f *flow) {
	give := len(f.queue)
	if f.held {
		give = 0
	}
	l.count += give - f.offered
	f.offered = give
	if give > 0 {
		l.ready.enter(f.place)
	} else {
		l.ready.leave(f.place)
	}
	if p := l.bin.pool; p != nil {
		p.admit(f)
	}
}

// charge books what a flow has been served by its lane's turn.
func (l *lane) charge(f *flow, recipients int) {
	l.ready.charge(f.place, float64(recipients)/f.weight)
}
