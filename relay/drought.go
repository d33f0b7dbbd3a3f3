package relay

import (
	"context"
	"time"
)

// drought is a time in which look-ups fail, one after the other: DNS is down, or what is left are
// domains that nobody can look up. Then they are tried at a steady pace, whatever their number, and
// what waits in the spool behind them is sampled, at the same pace: when one that had failed is
// found, all are tried soon. Fields are guarded by the Scheduler's mu.
type drought struct {
	// failed counts look-ups that failed since one went well.
	failed int
	// at is where the next sample is taken.
	at BinHead
}

const (
	// dryAfter is how many look-ups that fail in a row make a drought.
	dryAfter = 100
	// dryPace is how many destinations are tried in a second during a drought: those that are
	// known, and as many that are not.
	dryPace = 4
	// dryShare is the part of the time, one in so many, that rounds may take in a drought.
	dryShare = 300
	// dryRelief is within what time all are tried when a drought ends.
	dryRelief = 10 * time.Second
)

func (d *drought) on() bool { return d.failed >= dryAfter }

// notFound counts a look-up that failed, for the destination of a bin whose gate is closed now.
func (s *Scheduler) notFound(b *bin) {
	s.drought.failed++
	if s.drought.on() {
		turn := float64(len(s.bins)) / dryPace * (0.5 + s.o.Chance())
		b.gate.until = later(b.gate.until, s.o.Now().Add(time.Duration(turn*float64(time.Second))))
	}
}

// found ends a drought. When the destination had failed before, what it failed of has passed, and
// the others are tried as well.
func (s *Scheduler) found(recovered bool) {
	dry := s.drought.on()
	s.drought.failed = 0
	if !dry {
		return
	}
	r := &s.rover
	r.missed = r.missed || !r.horizon.IsZero()
	if !recovered {
		return
	}
	clear(r.shelved)
	r.began = time.Time{}
	now := s.o.Now()
	for _, b := range s.bins {
		soon := now.Add(time.Duration(s.o.Chance() * float64(dryRelief)))
		if !b.gate.open() && b.gate.until.After(soon) {
			b.gate.until = soon
			s.advance(b)
		}
	}
}

// sample takes up the next few destinations of the spool in a drought, when rounds leave them out.
func (s *Scheduler) sample(ctx context.Context) error {
	s.mu.Lock()
	at, dry := s.drought.at, s.drought.on() && !s.rover.horizon.IsZero()
	s.mu.Unlock()
	if !dry {
		return nil
	}
	left := dryPace
	for head, err := range s.o.Spool.Bins(ctx, at) {
		if err != nil || ctx.Err() != nil {
			return err
		}
		if left--; left < 0 {
			s.sampled(head)
			return nil
		}
		s.try(head)
	}
	s.sampled(BinHead{})
	return nil
}

func (s *Scheduler) sampled(to BinHead) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drought.at = to
}

// try takes up a destination that is due, if there is room for it.
func (s *Scheduler) try(head BinHead) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.o.Now(); s.rover.resting(head.To, now) || head.Due.After(now) {
		return
	}
	if s.admit(head.To, head.Flow, head.Due, false) == admitted {
		b := s.bin(head.To)
		b.note(head.Flow, head.Due)
		s.advance(b)
	}
}
