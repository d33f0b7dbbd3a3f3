package relay

import "time"

// crewFigures sums up what connections do, and for how long the one has been at it that has been longest.
type crewFigures struct {
	count   [len(phaseWords)]int
	longest [len(phaseWords)]time.Duration
	lost    int
}

// crewAt looks at all connections.
func (s *Scheduler) crewAt(now time.Time) (f crewFigures) {
	for _, p := range s.pools {
		for c := range p.crew {
			if c.writtenOff {
				f.lost++
				continue
			}
			f.count[c.phase]++
			f.longest[c.phase] = max(f.longest[c.phase], now.Sub(c.since))
		}
	}
	return f
}

// Figures measures what connections do, and what the watch found not to move.
func (s *Scheduler) Figures() []Figure {
	s.mu.Lock()
	f, found, last := s.crewAt(s.o.Now()), s.stalls, s.stalledAt
	s.mu.Unlock()
	at := 0.0
	if !last.IsZero() {
		at = float64(last.UnixMilli()) / 1000
	}
	all := []Figure{
		{Name: "watch_found_total", Help: "What the watch found not to move though it should: connections, look-ups, destinations.", Grows: true, Value: float64(found)},
		{Name: "watch_found_timestamp_seconds", Help: "When the watch last found something, in seconds since 1970; 0 when it never has.", Value: at},
		{Name: "outbound_connections_lost", Help: "Connections that did not end when they were told to, and whose places others have.", Value: float64(f.lost)},
	}
	for p := PhaseOpening; p <= PhaseIdle; p++ {
		labels := []string{"phase", p.String()}
		all = append(all,
			Figure{Name: "outbound_phase_connections", Help: "Connections to next hops by what they do.", Labels: labels, Value: float64(f.count[p])},
			Figure{Name: "outbound_phase_longest_seconds", Help: "How long the connection that has been in a phase longest has been in it.", Labels: labels, Value: max(f.longest[p], 0).Seconds()},
		)
	}
	return all
}
