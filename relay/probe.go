package relay

import "time"

// attend looks after a pool when its alarm rings. Behind a closed gate, one member that has a
// delivery due loads it, and the site is tried with that. The others cost nothing meanwhile.
func (s *Scheduler) attend(p *pool) {
	if !p.shut() || p.turns.waiting() {
		s.pump(p)
		return
	}
	if p.prober != nil || p.dialing > 0 || s.stopped {
		return
	}
	now := s.o.Now()
	if !p.gate.probe(now) {
		s.setPoolAlarm(p, p.gate.until)
		return
	}
	member, next := p.hungry(now)
	if member == nil {
		s.setPoolAlarm(p, next)
		return
	}
	s.advance(member)
}

// expectProbe sees to it that a site behind a closed gate is tried for the bin's sake, and
// gives the turn to another member when the bin that had it has nothing more to try with.
func (s *Scheduler) expectProbe(b *bin, p *pool, now time.Time) {
	if p.prober == b && b.count+b.away == 0 && !b.refilling {
		p.prober = nil
		s.attend(p)
		return
	}
	due := b.due()
	if due.IsZero() || p.prober != nil {
		return
	}
	if at := later(due, later(p.gate.until, now)); p.alarm.index < 0 || at.Before(p.alarm.at) {
		s.setPoolAlarm(p, at)
	}
}

func (s *Scheduler) setPoolAlarm(p *pool, at time.Time) {
	s.poolAlarms.set(p.alarm, at)
	s.wakeTimer(at)
}
