package relay

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// DefaultStuck is how long a connection may be in one phase before that is reported as a fault.
	// All that a transport waits for has a deadline, and none of them is as long.
	DefaultStuck = time.Hour
	// watchInterval is how often is looked for what does not move.
	watchInterval = 10 * time.Second
	// auditEvery is after how many looks the books are checked.
	auditEvery = 6
	// watchSlack is how far what is due may be behind without a reason.
	watchSlack = 5 * time.Second
)

// watch looks for what does not move though it should, reports it, and frees what can be freed: an
// attempt is ended, a connection whose attempt cannot be ended gives up its place, and a bin that
// was forgotten goes on. A delivery is never given to another while somebody may still deliver it.
func (s *Scheduler) watch(ctx context.Context) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	stood := make(map[*bin]struct{})
	var books claimBooks
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, f := range s.look(&stood) {
			s.o.Observer.Faulted(f)
		}
		if err := books.compare(s); err != nil {
			s.o.Observer.Faulted(Fault{Doing: "keep count of claims", Err: err})
		}
		if n%auditEvery != 0 {
			continue
		}
		if err := s.Audit(); err != nil {
			s.o.Observer.Faulted(Fault{Doing: "keep count of deliveries", Err: err})
		}
	}
}

// look finds what does not move. Stood are the bins that it found standing the last time.
func (s *Scheduler) look(stood *map[*bin]struct{}) (faults []Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.o.Now()
	for _, p := range s.pools {
		for c := range p.crew {
			if f, stuck := s.hurry(c, now); stuck {
				faults = append(faults, f)
			}
		}
	}
	standing := make(map[*bin]struct{})
	for _, b := range s.bins {
		if f, stuck := b.lookUpStuck(now, s.o.Stuck); stuck {
			faults = append(faults, f)
		}
		if !b.stands(s, now) {
			continue
		}
		if _, before := (*stood)[b]; !before {
			standing[b] = struct{}{}
			continue
		}
		faults = append(faults, Fault{Doing: "deliver to " + b.to.String(), Err: errStands})
		b.free()
		s.advance(b)
	}
	*stood = standing
	if len(faults) > 0 {
		s.stalls += len(faults)
		s.stalledAt = now
	}
	return faults
}

var errStands = errors.New("mail was due and nothing went on; it goes on now")

// hurry ends what a courier has been at for too long, and writes it off when that does not help.
func (s *Scheduler) hurry(c *courier, now time.Time) (Fault, bool) {
	stuck := s.o.Stuck
	took := now.Sub(c.since)
	if c.phase == PhaseIdle || c.writtenOff || took < stuck || c.hurried && (took < 2*stuck || c.phase == PhaseLoading) {
		return Fault{}, false // what waits for our own disk keeps its place
	}
	f := Fault{
		Doing: "deliver to " + c.pool.site.Key,
		Err:   fmt.Errorf("a connection has been %s for %v; it is ended", c.phase, took.Round(time.Second)),
	}
	if c.phase == PhaseCarrying {
		f.Message = c.carries.Message
	}
	c.cancel()
	if !c.hurried {
		c.hurried = true
		return f, true
	}
	f.Err = fmt.Errorf("a connection that does not end has been %s for %v; others take its place", c.phase, took.Round(time.Second))
	s.writeOff(c)
	return f, true
}

// writeOff lets others have the place of a courier that does not come back. What it carries stays
// with it.
func (s *Scheduler) writeOff(c *courier) {
	s.uncount(c)
	c.writtenOff = true
	s.relieve(c.pool)
}

// lookUpStuck reports a look-up that does not end, every now and then.
func (b *bin) lookUpStuck(now time.Time, stuck time.Duration) (Fault, bool) {
	took := now.Sub(b.resolvingSince)
	if !b.resolving || took < stuck {
		return Fault{}, false
	}
	b.resolvingSince = now
	return Fault{Doing: "resolve " + b.to.String(), Err: fmt.Errorf("the look-up has not ended for %v", took.Round(time.Second))}, true
}

// stands says that something of the bin is due, and that nothing goes on that could bring it on: no
// goroutine, no alarm, nobody whose end would be an event for it.
func (b *bin) stands(s *Scheduler, now time.Time) bool {
	due := b.due()
	if b.closed || b.paused != nil || b.resolving || b.refilling || b.away > 0 || b.probing() {
		return false
	}
	if b.count == 0 && (due.IsZero() || now.Sub(due) < watchSlack) {
		return false
	}
	if a := b.alarm; a.index >= 0 && now.Sub(a.at) < watchSlack {
		return false
	}
	p := b.pool
	if p == nil {
		return true
	}
	_, blocked := s.blocked[p]
	if blocked || b.inLine(now) || p.couriers > len(p.idle) {
		return false
	}
	return p.alarm.index < 0 || now.Sub(p.alarm.at) >= watchSlack
}

// free lets go of the bin, its pool and its flows what their rates hold up, though nothing lets it on.
func (b *bin) free() {
	b.limits.leave(&b.wait)
	if b.pool == nil {
		return
	}
	b.limits.leave(&b.pool.rate)
	b.limits.leave(&b.pool.dial)
	for _, f := range b.flows {
		if f.held {
			b.pool.turns.release(f)
		}
	}
}

// inLine says whether something of the bin is in line for a rate, and the line moves.
func (b *bin) inLine(now time.Time) bool {
	moves := func(w *wait) bool { return b.limits.attends(w) && now.Sub(w.at.alarm.at) < watchSlack }
	if moves(&b.wait) || moves(&b.pool.rate) || moves(&b.pool.dial) {
		return true
	}
	for _, f := range b.flows {
		if f.held && moves(&f.sender.wait) {
			return true
		}
	}
	return false
}

// Audit counts again what is counted on the way, and returns an error if the books contradict
// themselves: a delivery in memory is in one place, and counted once.
func (s *Scheduler) Audit() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var memory usage
	for _, b := range s.bins {
		if err := b.audit(); err != nil {
			return fmt.Errorf("%s: %w", b.to, err)
		}
		memory.within += b.memory.within
		memory.extra += b.memory.extra
	}
	if memory != s.memory {
		return fmt.Errorf("bins have %+v bytes of deliveries, %+v are counted", memory, s.memory)
	}
	couriers := 0
	for _, p := range s.pools {
		couriers += p.couriers
		if p.couriers != p.dialing+p.connected || len(p.idle) > p.connected {
			return fmt.Errorf("site %s: %d couriers, %d opening and %d connected, %d idle", p.site.Key, p.couriers, p.dialing, p.connected, len(p.idle))
		}
		if p.rate.in() && !s.limits.attends(&p.rate) || p.dial.in() && !s.limits.attends(&p.dial) {
			return fmt.Errorf("site %s waits for a rate, and nothing will let it go on", p.site.Key)
		}
	}
	if couriers > s.connections {
		return fmt.Errorf("sites have %d connections, %d are counted", couriers, s.connections)
	}
	return nil
}

// attends says whether somebody is in a line whose first will be let go on.
func (l *limiter) attends(w *wait) bool {
	return w.in() && w.place.index >= 0 && (w.party == nil || w.party.place.index >= 0) && l.alarms.has(w.at.alarm) &&
		!w.at.alarm.at.After(later(w.at.due(l.now()), l.now().Add(lineTick)))
}

// audit checks that each delivery in memory is where the bin's counts say.
func (b *bin) audit() error {
	var count, live, reserved int
	var memory usage
	var offered [ranks]int
	for _, f := range b.flows {
		count += len(f.queue)
		reserved += f.reserved
		for i := range f.queue {
			memory.add(&f.queue[i], +1)
		}
		if f.live {
			live++
		}
		offered[f.lane.rank] += f.offered
		if turns := b.pool != nil && len(f.queue) > 0; turns != (f.turn.index >= 0) || turns != (f.sender != nil) {
			return fmt.Errorf("flow %q has %d deliveries, and has a turn: %v", f.name, len(f.queue), f.turn.index >= 0)
		}
		if f.held && !b.limits.attends(&f.sender.wait) {
			return fmt.Errorf("flow %q is held up by rates, and nobody waits for them", f.name)
		}
		if f.held && f.offered > 0 || !f.held && f.offered != len(f.queue) {
			return fmt.Errorf("flow %q has %d deliveries and offers %d, held up: %v", f.name, len(f.queue), f.offered, f.held)
		}
		if starving := f.bare() && f.hunger.index >= 0; starving != (f.starve.index >= 0) {
			return fmt.Errorf("flow %q waits for its first delivery: %v, %v is known", f.name, starving, f.starve.index >= 0)
		}
	}
	switch {
	case b.wait.in() && !b.limits.attends(&b.wait):
		return errors.New("it waits for a rate, and nothing will let it go on")
	case count != b.count || live != b.live || b.away < 0:
		return fmt.Errorf("%d deliveries in memory and %d flows alive, %d and %d are counted; %d away", count, live, b.count, b.live, b.away)
	case memory.within > b.memory.within || memory.extra > b.memory.extra || memory != b.memory && reserved == 0:
		return fmt.Errorf("%+v bytes of deliveries in memory, %+v are counted", memory, b.memory)
	}
	for _, l := range b.lanes {
		if l.count != offered[l.rank] {
			return fmt.Errorf("%d deliveries ready, %d are counted", offered[l.rank], l.count)
		}
		if l.count == 0 && l.place.index >= 0 {
			return errors.New("a lane without deliveries takes part in the turns of its site")
		}
	}
	return nil
}
