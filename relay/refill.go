package relay

import "time"

// spoolPause is how long a flow is left alone after the spool failed to read it.
const spoolPause = time.Second

// refill starts loading deliveries that are due, if the bin has room and a way out.
func (s *Scheduler) refill(b *bin, now time.Time) {
	if b.refilling || s.stopped || s.hunger(b, now) == nil {
		return
	}
	b.refilling = true
	if p := b.pool; p != nil && p.shut() {
		p.prober = b
	}
	s.refills.run(func() { s.refillOnce(b) })
}

// hunger is the flow to be loaded next, nil when there is none or no room for it. Those with nothing in memory
// come first.
func (s *Scheduler) hunger(b *bin, now time.Time) *flow {
	if b.paused != nil || !b.reachable(now) || b.probing() && b.count+b.away > 0 {
		return nil
	}
	room := s.hasRoom(b)
	if first := b.starving.first(); first != nil && !first.at.After(now) && (room || s.hasExtraRoom(b)) {
		return first.value
	}
	if first := b.hungry.first(); first != nil && !first.at.After(now) && room {
		return first.value
	}
	return nil
}

// refillOnce claims for one flow of the bin. If another is hungry, the bin queues up again:
// one with many flows must not keep others from their turn.
func (s *Scheduler) refillOnce(b *bin) {
	f, n, pull := s.beginRefill(b)
	if f == nil {
		return
	}
	ds, next, err := s.claim(b, f, pull, n)
	if err != nil && s.work.Err() == nil {
		s.o.Observer.Faulted(Fault{Doing: "claim deliveries of " + b.to.String(), Err: err})
	}
	if err != nil {
		next = s.o.Now().Add(spoolPause)
	}
	s.endRefill(b, f, ds, next)
}

// deliverySize is what a delivery takes in memory, in bytes, as a rule.
const deliverySize = 300

// beginRefill chooses the flow and how many deliveries to claim: as many as there is room
// for, and behind a closed gate one, for the probe. Pull says that they need not be due.
func (s *Scheduler) beginRefill(b *bin) (f *flow, n int, pull bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f = s.hunger(b, s.o.Now())
	if f == nil || s.stopped {
		b.refilling = false
		s.advance(b)
		return nil, 0, false
	}
	f.refilling, f.noted, f.extra = true, time.Time{}, !s.hasRoom(b)
	b.review(f)
	switch {
	case b.probing():
		return f, 1, false
	case f.extra:
		return f, 1, !f.pull.IsZero()
	}
	return f, int(max(1, min(flowBatch, b.batch(), s.room(b)/deliverySize))), !f.pull.IsZero()
}

// batch is how many deliveries a flow is loaded with: fewer where many flows want some, so that one
// that comes late finds little before it.
func (b *bin) batch() int64 {
	return max(flowBatchLeast, flowBatch*flowsWell/int64(len(b.hungry.heap)+1))
}

func (s *Scheduler) endRefill(b *bin, f *flow, ds []Delivery, next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.refilling = false
	f.next = earlier(next, f.noted)
	b.refilling = false
	f.filled = s.o.Now()
	if len(ds) > 0 {
		b.moved = f.filled
	} else {
		f.pull, f.pulled = time.Time{}, nil
	}
	for i := range ds {
		ds[i].extra = f.extra
	}
	b.push(f, ds...)
	s.advance(b)
}
