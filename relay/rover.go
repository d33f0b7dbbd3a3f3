package relay

import (
	"context"
	"slices"
	"time"
)

// rover bounds what is known in memory of destinations and senders. When there is no room for
// more, the flows that can run the latest are forgotten: their mail is in the spool, and a round
// through the spool finds it again in time. Fields are guarded by the Scheduler's mu.
//
// What holds at any moment: a delivery that waits in the spool, and is due before the horizon, is
// known to a flow in memory, or lies ahead of a round under way, or missed is set and there will
// be a round.
type rover struct {
	// horizon is the time before which nothing is left out; zero while nothing is left out at all.
	horizon time.Time
	// left says that something has been left out since the latest round began, next is when the
	// earliest of that is due, and missed says that something due before the horizon has been.
	left, missed bool
	next         time.Time
	// began is when the latest round did, and took is how long its look at the spool was. It goes on from at while it
	// is under way.
	began    time.Time
	took     time.Duration
	underway bool
	at       BinHead
	// shelved are destinations that were forgotten behind a closed gate, with that: until it may
	// be tried they are not taken up again.
	shelved map[Destination]gate
	// evictAfter is when it is worth looking again for something to forget.
	evictAfter time.Time
}

const (
	// binSize and flowSize are what a bin and a flow take in memory, in bytes, besides their names.
	binSize  = 1300
	flowSize = 500
	// roundSpan is how far ahead a round looks.
	roundSpan = 10 * time.Minute
	// roundLead is how long before the horizon the next round begins, at the latest.
	roundLead = 5 * time.Second
	// roundShare is the part of the time, one in so many, that rounds may take.
	roundShare = 50
	// roundLeast is the least time from one round to the next.
	roundLeast = 5 * time.Second
	// roundPause is how long a round that finds no room waits for some.
	roundPause = 250 * time.Millisecond
	// roundStep is how many bins and flows a round looks at in a second during a drought.
	roundStep = 400
	// shelvedMost bounds the gates that are kept of destinations that were forgotten.
	shelvedMost = 20_000
	// evictLeast is how far off a flow's next delivery must be for it to be forgotten.
	evictLeast = 5 * time.Second
)

// rove learns from the spool which bins and flows there are: all of them when it starts, and those
// that were left out when their time comes. That costs time in the number of bins, not of messages;
// deliveries go on meanwhile.
func (s *Scheduler) rove(ctx context.Context) error {
	for more := true; more && ctx.Err() == nil; { // what is there at the start is found at once, drought or not
		var err error
		if more, err = s.round(ctx); err != nil {
			return err
		}
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		err := s.sample(ctx)
		if err == nil && s.roundDue() {
			_, err = s.round(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.o.Observer.Faulted(Fault{Doing: "look for destinations", Err: err})
		}
	}
}

// roundDue says whether it is time for a round.
func (s *Scheduler) roundDue() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, r := s.o.Now(), &s.rover
	if r.underway {
		return true
	}
	share := roundShare
	if s.drought.on() {
		share = dryShare
	}
	if r.horizon.IsZero() || now.Sub(r.began) < max(roundLeast, time.Duration(share)*r.took) {
		return false
	}
	return !now.Before(r.horizon.Add(-roundLead)) || r.missed && s.knows(false)
}

// round goes through the spool once, and waits where there is no room for what it finds. In a drought, when it finds
// little that can go, it takes a step, and says whether there is more for the next time that it is called.
func (s *Scheduler) round(ctx context.Context) (more bool, err error) {
	from := s.beginRound()
	for {
		began := s.o.Now()
		end, err := s.discover(ctx, &from)
		if on := s.looked(s.o.Now().Sub(began), from, end, err); err != nil || end == roundOver || !on {
			return err == nil && end != roundOver, err
		}
		if end == roundStepped {
			continue
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-time.After(roundPause):
		}
	}
}

// beginRound gives where the round goes on that is under way, else it begins one.
func (s *Scheduler) beginRound() (from BinHead) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.rover
	if r.underway {
		return r.at
	}
	r.began, r.took, r.left, r.missed, r.next, r.underway = s.o.Now(), 0, false, false, time.Time{}, true
	if !r.horizon.IsZero() {
		r.horizon = r.began.Add(roundSpan)
	}
	return BinHead{}
}

// looked counts the time of a look at the spool, which ended the round unless there is more: from there on. It says
// whether to go on at once.
func (s *Scheduler) looked(took time.Duration, from BinHead, end roundEnd, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.rover
	r.took += took
	r.at, r.underway = from, err == nil && end != roundOver
	switch {
	case r.underway || err != nil:
	case !r.left:
		r.horizon = time.Time{}
	case !r.missed:
		r.horizon = later(r.horizon, r.next) // nothing has to be looked for before that
	}
	return end == roundFull || !s.drought.on()
}

// leave takes note that something is left out that is due then.
func (r *rover) leave(due time.Time) {
	r.left = true
	r.next = earlier(r.next, due)
}

// roundEnd is why a look at the spool came to an end: all has been seen, there was no room for more, or it was a step.
type roundEnd uint8

const (
	roundOver roundEnd = iota
	roundFull
	roundStepped
)

// discover takes up what the spool has from a place on, which is then where it came to an end.
func (s *Scheduler) discover(ctx context.Context, from *BinHead) (end roundEnd, err error) {
	n := 0
	for head, err := range s.o.Spool.Bins(ctx, *from) {
		if ctx.Err() != nil {
			return roundOver, nil
		}
		if err != nil {
			return roundOver, err
		}
		if n++; n > roundStep {
			*from = head
			return roundStepped, nil
		}
		if !s.takeUp(head) {
			*from = head
			return roundFull, nil
		}
	}
	return roundOver, nil
}

// takeUp notes a bin and flow, or leaves it out for now; false when there is no room for it.
func (s *Scheduler) takeUp(head BinHead) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, r := s.o.Now(), &s.rover
	if r.resting(head.To, now) {
		r.leave(later(head.Due, r.shelved[head.To].until))
		return true
	}
	if s.bins[head.To] == nil && head.Due.Before(now) && head.To.Domain != "" && s.drought.on() {
		r.leave(now.Add(roundSpan))
		return true
	}
	switch s.admit(head.To, head.Flow, head.Due, false) {
	case admitted:
		b := s.bin(head.To)
		b.note(head.Flow, head.Due)
		s.advance(b)
	case crowded:
		return false
	}
	return true
}

// admission is whether a flow may be known in memory.
type admission uint8

const (
	// admitted says that it may, leftOut that it is found again in time, crowded that it should
	// be known and there is no room.
	admitted admission = iota
	leftOut
	crowded
)

// admit decides whether a flow whose next delivery is due then may be known. Fresh mail has some room
// of its own.
func (s *Scheduler) admit(to Destination, flow Flow, due time.Time, fresh bool) admission {
	if b := s.bins[to]; b != nil && b.flows[flow] != nil {
		return admitted
	}
	now, r := s.o.Now(), &s.rover
	for range 2 {
		if !r.horizon.IsZero() && !due.Before(r.horizon) {
			r.leave(due)
			return leftOut
		}
		if s.knows(fresh) {
			return admitted
		}
		if !s.evict(now) {
			break
		}
	}
	r.leave(due)
	if due.Sub(now) > evictLeast {
		r.horizon = earlier(r.horizon, due)
		return leftOut
	}
	if r.horizon.IsZero() {
		r.horizon = now.Add(roundSpan)
	}
	return crowded
}

// knows says whether there is room to know more.
func (s *Scheduler) knows(fresh bool) bool {
	if fresh {
		return s.limits.known < s.live().KnownMemory
	}
	return s.limits.known < s.live().KnownMemory/10*9
}

// evict forgets a quarter of the flows that cannot run soon, those that can run the latest. It
// says whether there were any.
func (s *Scheduler) evict(now time.Time) bool {
	r := &s.rover
	if now.Before(r.evictAfter) {
		return false
	}
	var wakes []time.Time
	before := s.limits.known
	s.eachIdle(func(b *bin, f *flow) {
		if at := b.wakeOf(f, now); at.Sub(now) > evictLeast {
			wakes = append(wakes, at)
		}
	})
	if len(wakes) > 0 {
		slices.SortFunc(wakes, time.Time.Compare)
		cutoff := wakes[len(wakes)/4*3]
		r.horizon = earlier(r.horizon, cutoff)
		r.leave(cutoff)
		s.eachIdle(func(b *bin, f *flow) {
			if !b.wakeOf(f, now).Before(cutoff) {
				s.forgetFlow(b, f)
			}
		})
	}
	if before-s.limits.known < s.live().KnownMemory/32 {
		r.evictAfter = now.Add(roundPause)
	}
	return s.limits.known < before
}

// eachIdle calls f for the flows of bins about which nothing is going on.
func (s *Scheduler) eachIdle(f func(*bin, *flow)) {
	for _, b := range s.bins {
		if b.count+b.away > 0 || b.memory.sum() > 0 || b.refilling || b.resolving || b.pool != nil && b.pool.prober == b {
			continue
		}
		for _, fl := range b.flows {
			if fl.reserved == 0 && !fl.refilling {
				f(b, fl)
			}
		}
	}
}

// wakeOf is when the flow can run next, as far as is known: not soon, where only its debts are
// remembered or where operators say so.
func (b *bin) wakeOf(f *flow, now time.Time) time.Time {
	at := f.next
	switch {
	case b.paused != nil || at.IsZero() || b.closedGate(now) != nil:
		return later(at, now.Add(roundSpan))
	}
	return at
}

// closedGate is the gate that the bin waits behind for a while; nil when there is none. A smart
// host's does not count: it is looked for within seconds, and there are few.
func (b *bin) closedGate(now time.Time) *gate {
	g := &b.gate
	if b.pool != nil && b.pool.shut() {
		g = &b.pool.gate
	}
	if b.to.Domain == "" || g.open() || g.until.Sub(now) <= evictLeast {
		return nil
	}
	return g
}

// resting says that the gate of a destination that was forgotten is not to be tried yet.
func (r *rover) resting(to Destination, now time.Time) bool {
	g, ok := r.shelved[to]
	return ok && g.until.After(now)
}

// shelve keeps the gate of a bin that is forgotten.
func (r *rover) shelve(b *bin, now time.Time) {
	g := b.closedGate(now)
	if g == nil {
		return
	}
	if len(r.shelved) >= shelvedMost {
		clear(r.shelved)
	}
	r.shelved[b.to] = *g
}

// unshelve gives a bin that is known again the gate that it had. A pool has its own.
func (r *rover) unshelve(b *bin) {
	if g, ok := r.shelved[b.to]; ok {
		delete(r.shelved, b.to)
		b.gate = g
	}
}

// forgetFlow drops a flow that waits in the spool, and its bin with the last.
func (s *Scheduler) forgetFlow(b *bin, f *flow) {
	f.next = time.Time{}
	b.setHunger(f, time.Time{})
	if f.live {
		f.live = false
		b.live--
	}
	b.dropFlow(f)
	if b.over() {
		s.rover.shelve(b, s.o.Now())
		s.remove(b)
	}
}
