package relay

import "time"

// pulledMost bounds how many deliveries of a flow are pulled early at a recovery. A dead host defers few:
// what waits behind its gate has not been attempted.
const pulledMost = 1024

// aboutHost says that a refusal was for the sake of the host or of the way to it: it says nothing
// about the message, nor that less would be welcome.
func (r *Reply) aboutHost() bool {
	switch r.Class {
	case ClassHost, ClassTLS, ClassAuth:
		return true
	case ClassNone:
		return r.Code == 421 || r.Enhanced[0] == 4 && r.Enhanced[1] >= 3 && r.Enhanced[1] <= 5
	}
	return false
}

// pullEarly has what was deferred while a site was sick loaded now that it has taken mail again, and not
// when its time comes, which may be hours off. It goes through the window like all mail, and that
// has begun anew.
func (s *Scheduler) pullEarly(p *pool, now time.Time) {
	for b := range p.members {
		for _, f := range b.flows {
			if !f.refilling && f.name.rank().retry() && f.next.After(now) {
				f.pull, f.pulled = now, make(map[DeliveryID]struct{})
				b.review(f)
			}
		}
		s.advance(b)
	}
}

// claim claims up to n deliveries of a flow that are due, or, of a flow that is pulled, would be
// some time and were deferred for their host's sake. Each of those is taken once: what is deferred
// again waits for its time.
func (s *Scheduler) claim(b *bin, f *flow, pull bool, n int) ([]Delivery, time.Time, error) {
	now := s.o.Now()
	if !pull {
		return s.o.Spool.Claim(s.work, b.to, f.name, now, n)
	}
	all, next, err := s.o.Spool.Claim(s.work, b.to, f.name, now.Add(s.live().Retry.MaxAge), n)
	var ds, rest []Delivery
	for _, d := range all {
		_, again := f.pulled[d.DeliveryID]
		switch {
		case !d.Due.After(now):
			ds = append(ds, d)
		case !again && d.Last.aboutHost() && len(f.pulled) < pulledMost:
			f.pulled[d.DeliveryID] = struct{}{}
			ds = append(ds, d)
		default:
			rest = append(rest, d)
			next = earlier(next, d.Due)
		}
	}
	s.o.Spool.Release(rest...)
	return ds, next, err
}
