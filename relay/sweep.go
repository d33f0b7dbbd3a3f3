package relay

import (
	"context"
	"time"
)

// sweepInterval is how often old mail is looked for.
const sweepInterval = time.Minute

// sweep sees to mail that grows old where no attempt would notice it, behind closed gates:
// it is returned when it expires, and its sender is told of the delay before.
func (s *Scheduler) sweep(ctx context.Context) {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	// warned is the last message whose delay has been dealt with. It starts at the oldest:
	// a delivery remembers its warning, so a restart repeats the look, not the notice.
	var warned ID
	for {
		now := s.o.Now()
		if !s.isLenient(now) {
			s.sweepExpired(ctx, now)
		}
		if s.live().Retry.WarnAfter > 0 {
			warned = s.sweepLate(ctx, warned, now)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// sweepExpired gives up what has reached its age. Deliveries that somebody holds are left
// to their holder.
func (s *Scheduler) sweepExpired(ctx context.Context, now time.Time) {
	oldest := IDAt(now.Add(-s.live().Retry.MaxAge))
	s.eachArrived(ctx, ID{}, oldest, func(id ID) {
		s.eachClaimed(ctx, id, func(d Delivery) {
			if m := s.prepare(d); m != nil {
				s.giveUp(d)
			}
		})
	})
}

// sweepLate warns of what has reached the age for it, and returns how far it came.
func (s *Scheduler) sweepLate(ctx context.Context, from ID, now time.Time) ID {
	last, held := from, false
	s.eachArrived(ctx, from, IDAt(now.Add(-s.live().Retry.WarnAfter)), func(id ID) {
		if s.unwarned(ctx, id) {
			s.eachClaimed(ctx, id, s.warn)
			// What somebody else holds is looked at again the next time.
			held = held || s.unwarned(ctx, id)
		}
		if !held {
			last = id.successor()
		}
	})
	return last
}

// unwarned says whether a delivery of the message still wants its warning.
func (s *Scheduler) unwarned(ctx context.Context, id ID) bool {
	ds, err := s.o.Spool.Deliveries(ctx, id)
	if err != nil && ctx.Err() == nil {
		s.o.Observer.Faulted(Fault{Doing: "look for delayed mail", Message: id, Err: err})
	}
	for _, d := range ds {
		if !d.Warned && d.Held == "" {
			return true
		}
	}
	return false
}

// warn tells the sender of the delay and leaves the delivery as it is otherwise.
func (s *Scheduler) warn(d Delivery) {
	if d.Warned {
		s.giveUp(d)
		return
	}
	m := s.prepare(d)
	if m == nil {
		return
	}
	reply := d.Last
	if reply.Text == "" {
		reply = s.obstacle(d.To)
	}
	next := d
	next.Claimed = false
	next.Due = d.Due.Add(time.Nanosecond)
	settlement := Settlement{Delivery: d, Message: m, Then: []Delivery{next}}
	done := Attempted{Delivery: d, Message: m, Outcomes: s.outcomes(d, m, failAll(d, reply), s.o.Now())}
	about := s.notices(s.settles, &settlement, m, done)
	settlement.Then[0].Warned = true
	if s.finish(settlement) {
		for _, n := range about {
			s.o.Observer.Notified(n)
		}
	}
}

// eachArrived calls f for the messages that arrived from one ID up to another.
func (s *Scheduler) eachArrived(ctx context.Context, from, to ID, f func(ID)) {
	for id, err := range s.o.Spool.Arrived(ctx, from) {
		if err != nil && ctx.Err() == nil {
			s.o.Observer.Faulted(Fault{Doing: "look for old mail", Err: err})
		}
		if err != nil || ctx.Err() != nil || string(id[:]) >= string(to[:]) {
			return
		}
		f(id)
	}
}

// eachClaimed claims the deliveries of a message that nobody holds and hands them to f.
func (s *Scheduler) eachClaimed(ctx context.Context, id ID, f func(Delivery)) {
	ds, err := s.o.Spool.ClaimMessage(ctx, id)
	if err != nil && ctx.Err() == nil {
		s.o.Observer.Faulted(Fault{Doing: "claim old mail", Message: id, Err: err})
	}
	for _, d := range ds {
		s.taken(d)
		f(d)
	}
}

// taken counts a delivery as away that was claimed past its bin.
func (s *Scheduler) taken(d Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bin(d.To).away++
}
