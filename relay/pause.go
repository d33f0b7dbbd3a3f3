package relay

import "time"

// Pause is an operator's order to deliver nothing to some destinations until it is lifted.
// Mail for them is accepted and waits; it grows old meanwhile.
type Pause struct {
	// Destination is like those that are meant: "route", "route/domain", with * for any
	// characters.
	Destination string `json:"destination"`
	// Author and Reason say who wants it and why.
	Author string    `json:"author"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
}

// pauses are those in force.
type pauses []Pause

// of is the pause that a destination is under, nil when it is under none.
func (p pauses) of(to Destination) *Pause {
	for i := range p {
		if like(p[i].Destination, to.String()) {
			return &p[i]
		}
	}
	return nil
}

// setPauses puts the pauses in force in place of those before. Deliveries of paused
// destinations that wait in memory go back to the spool; attempts under way are
// finished, and so is what their connections have been told to expect.
func (s *Scheduler) setPauses(list []Pause) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pauses = list
	for _, b := range s.bins {
		was := b.paused
		b.paused = s.pauses.of(b.to)
		switch {
		case b.paused != nil && was == nil:
			s.unload(b)
		case b.paused == nil && was != nil:
			s.rover.missed = true // some of what was paused may have been left out
			s.advance(b)
		}
	}
}
