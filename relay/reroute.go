package relay

import (
	"context"
	"errors"
	"time"
)

// Rerouting is how far Reroute has come.
type Rerouting struct {
	Began time.Time
	// Ended is when all had been looked at; zero until then.
	Ended time.Time
	// Seen counts the deliveries looked at, Moved those that were led elsewhere, or thrown away
	// as their route has it, and Busy those that were being attempted all the time: an attempt
	// that fails is followed by one on the new way.
	Seen, Moved, Busy int
}

// reroutePatience is how long Reroute waits for deliveries that are being attempted.
const reroutePatience = 30 * time.Second

// Reroute looks at all that is queued and moves what the policy leads elsewhere now, also from
// behind closed gates. What is held stays where it is held. Progress is called after each delivery
// that was looked at; nil means nobody asks. On an error, or when ctx ends, the rest is moved at
// its next attempt.
func (s *Scheduler) Reroute(ctx context.Context, progress func(Rerouting)) (Rerouting, error) {
	if progress == nil {
		progress = func(Rerouting) {}
	}
	r := Rerouting{Began: s.o.Now()}
	var busy []Delivery
	for d, err := range s.o.Spool.List(ctx, ID{}) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return r, err
		}
		r.Seen++
		switch moved, done := s.redirect(ctx, d); {
		case moved:
			r.Moved++
		case !done && len(busy) < busyAtOnce:
			busy = append(busy, d)
		case !done:
			r.Busy++
		}
		progress(r)
	}
	err := s.redirectBusy(ctx, busy, &r)
	if err == nil {
		r.Ended = s.o.Now()
	}
	progress(r)
	return r, err
}

// redirectBusy comes back to what was being attempted.
func (s *Scheduler) redirectBusy(ctx context.Context, busy []Delivery, r *Rerouting) error {
	for end := s.o.Now().Add(reroutePatience); len(busy) > 0 && s.o.Now().Before(end); {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(comeBackPause):
		}
		var left []Delivery
		for _, d := range busy {
			moved, done := s.redirect(ctx, d)
			if moved {
				r.Moved++
			}
			if !done {
				left = append(left, d)
			}
		}
		busy = left
	}
	r.Busy += len(busy)
	return nil
}

// redirect moves a delivery that is routed elsewhere now. It is not done where somebody works on it.
func (s *Scheduler) redirect(ctx context.Context, d Delivery) (moved, done bool) {
	if d.Held != "" {
		return false, true
	}
	m, err := s.o.Spool.Message(ctx, d.Message)
	if err != nil || !d.fits(m) || !s.isAstray(d, m) {
		return false, true // what cannot be read is for who attempts it to find out
	}
	mine := s.withdraw([]Delivery{d})
	if len(mine) == 0 {
		free, err := s.o.Spool.ClaimMessage(ctx, d.Message)
		if err != nil {
			return false, errors.Is(err, ErrNotFound)
		}
		s.tookAll(free)
		mine = free
	}
	for _, own := range mine {
		if own.DeliveryID == d.DeliveryID {
			moved = true
		}
		if s.prepare(own) != nil {
			s.giveUp(own)
		}
	}
	if moved {
		return true, true
	}
	left, err := s.o.Spool.Deliveries(ctx, d.Message)
	for _, l := range left {
		if l.DeliveryID == d.DeliveryID && l.To == d.To {
			return false, false
		}
	}
	return false, err == nil
}

// redirectMessage is Reroute for a message that was accepted on terms of before.
func (s *Scheduler) redirectMessage(ctx context.Context, id ID) {
	ds, err := s.o.Spool.Deliveries(ctx, id)
	if err != nil {
		return // its next attempt asks anew
	}
	for _, d := range ds {
		s.redirect(ctx, d)
	}
}

// isAstray says whether the policy leads any of the delivery's recipients elsewhere. Where it
// has no answer the delivery stays.
func (s *Scheduler) isAstray(d Delivery, m *Message) (astray bool) {
	defer func() {
		if recover() != nil {
			astray = false // the attempt meets it too, and reports it
		}
	}()
	to, reply := s.routesOf(d, m)
	if reply != nil {
		return false
	}
	for _, routing := range to {
		astray = astray || routing != Routing{To: d.To}
	}
	return astray
}
