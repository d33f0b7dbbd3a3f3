package relay

// reserve decides which of the deliveries about to be committed will be handed over in
// memory, with their message: those get Claimed set and their room is taken. The others will be read from the
// spool when their turn comes, as are all of a flow that has a backlog there.
func (s *Scheduler) reserve(m *Message, ds []Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	now := s.o.Now()
	for i := range ds {
		d := &ds[i]
		d.ranked()
		if d.Held != "" {
			continue
		}
		if s.admit(d.To, d.Flow, now, true) != admitted {
			continue
		}
		b := s.bin(d.To)
		f := b.flow(d.Flow)
		behind := f.refilling || !f.next.IsZero() && !f.next.After(now)
		d.extra = !s.hasRoom(b)
		if behind || b.paused != nil || b.probing() || d.extra && !(f.bare() && s.hasExtraRoom(b)) {
			continue
		}
		d.Claimed, d.message = true, m
		f.reserved++
		b.review(f) // or nothing would keep the bin until the commit has returned
		b.occupy(d)
	}
}

// unreserve gives the room of a claimed delivery back.
func (s *Scheduler) unreserve(b *bin, d Delivery) *flow {
	f := b.flow(d.Flow)
	f.reserved--
	b.vacate(&d)
	return f
}

// cancel gives back what reserve took, after a commit that failed.
func (s *Scheduler) cancel(ds []Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range ds {
		b := s.bins[d.To]
		if b == nil {
			continue // it was not to be known
		}
		if d.Claimed {
			b.review(s.unreserve(b, d))
		} else if f := b.flows[d.Flow]; f != nil {
			b.review(f)
		}
		s.advance(b)
	}
}

// accept takes over the deliveries that have been committed after reserve.
func (s *Scheduler) accept(ds []Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range ds {
		switch {
		case d.Claimed:
			b := s.bin(d.To)
			b.push(s.unreserve(b, d), d)
			s.advance(b)
		case d.Held == "":
			s.note(d)
		default:
			if b := s.bins[d.To]; b != nil {
				s.advance(b)
			}
		}
	}
}
