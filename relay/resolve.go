package relay

import (
	"cmp"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// resolve finds the site of a bin's destination, on behalf of its next delivery, and makes
// the bin a member of that site's pool. Deliveries that need no site, because they have
// expired or their route has changed, are settled on the way.
func (s *Scheduler) resolve(b *bin) {
	for s.resolveFor(b) {
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b.resolving = false
	s.advance(b)
}

// resolveFor serves one delivery and says whether to go on with the next.
func (s *Scheduler) resolveFor(b *bin) (again bool) {
	d, pass, ok := s.popFor(b)
	if !ok {
		return false
	}
	m := s.prepare(d)
	if m == nil {
		return true
	}
	began, terms := s.o.Now(), s.live()
	site, err := s.siteOf(b.to)
	switch reply := new(Reply); {
	case err == nil:
		s.join(b, site, terms)
		s.returnWith(d, pass)
		return false
	case errors.As(err, &reply) && reply.Permanent():
		s.settle(d, m, failAll(d, *reply), 0)
		return true
	case s.work.Err() != nil:
		s.giveUp(d)
		return false
	}
	s.unresolved(b, began, *asReply(err))
	s.giveUp(d)
	return false
}

// siteOf asks the transport. A panic there is a failure like any other.
func (s *Scheduler) siteOf(to Destination) (site *Site, err error) {
	defer s.containError("resolve "+to.String(), &err)
	return s.live().Transport.Resolve(s.work, to)
}

// containError turns a panic into an error of ours.
func (s *Scheduler) containError(doing string, err *error) {
	if cause := recover(); cause != nil {
		*err = LocalError(fmt.Errorf("panic: %v\n%s", cause, debug.Stack()))
		s.o.Observer.Faulted(Fault{Doing: doing, Err: *err})
	}
}

// popFor takes a delivery, and says whether its sender was let on for it.
func (s *Scheduler) popFor(b *bin) (d Delivery, pass, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return Delivery{}, false, false
	}
	return b.popAny()
}

// returnWith returns a delivery to its bin, whose sender may have been let on for it.
func (s *Scheduler) returnWith(d Delivery, pass bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bin(d.To)
	b.pushBack(d)
	if f := b.flow(d.Flow); pass && f.sender != nil {
		f.sender.wait.pass = true
	}
	s.advance(b)
}

// resolutionLeast is how long a resolution is used at least, whatever its TTL.
const resolutionLeast = time.Second

// join connects the bin with the pool of its site, which was found on those terms.
func (s *Scheduler) join(b *bin, site *Site, terms *SchedulerOptions) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live() != terms {
		return // it may lead elsewhere now: it is resolved once more
	}
	if !site.Expires.IsZero() {
		lasting := *site
		lasting.Expires = later(site.Expires, s.o.Now().Add(resolutionLeast))
		site = &lasting
	}
	recovered := b.gate.pass()
	if recovered {
		s.o.Observer.Gated(Gated{Name: b.to.String()})
	}
	s.found(recovered)
	p := s.pools[site.Key]
	if p == nil {
		p = s.newPool(site)
	}
	former := b.pool
	if former != nil && former != p {
		former.part(b)
		s.reap(former)
	}
	p.join(b, site)
	if p.renew {
		s.renew(p)
	}
	if site.Around && former != p && !p.gate.open() {
		p.gate.until = s.o.Now() // the way to it is thought to be good again: one probe shows
	}
}

// unresolved closes the bin's gate: nothing can be said about its messages now.
func (s *Scheduler) unresolved(b *bin, began time.Time, reply Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	smart := b.to.Domain == ""
	closed := b.gate.fail(began, s.o.Now(), smart, s.o.Chance(), reply)
	if !smart {
		s.notFound(b)
	}
	if closed {
		s.o.Observer.Gated(Gated{Name: b.to.String(), Closed: true, Until: b.gate.until, Reply: reply})
	}
	s.unload(b)
	if p := b.pool; p != nil {
		p.part(b)
		s.reap(p)
	}
}

// prepare loads the message of a delivery and settles what can be without a connection:
// what has expired, what is gone, what the configuration now sends elsewhere. It returns
// nil when the delivery needs no attempt.
func (s *Scheduler) prepare(d Delivery) (ready *Message) {
	defer func() {
		if cause := recover(); cause != nil {
			ready = nil
			s.panicked(d, cause)
		}
	}()
	m, err := d.message, error(nil)
	if m == nil {
		m, err = s.o.Spool.Message(s.attempts, d.Message)
	}
	switch {
	case errors.Is(err, ErrNotFound):
		s.drop(d, err)
		return nil
	case err != nil && s.attempts.Err() != nil:
		s.giveUp(d)
		return nil
	case err != nil:
		s.unreadable(d, nil, err)
		return nil
	case !d.fits(m):
		s.unreadable(d, nil, fmt.Errorf("%w: recipients %v of %d", ErrCorrupt, d.Recipients, len(m.Envelope.Recipients)))
		return nil
	case s.expires(&d, m.Received, s.o.Now()):
		s.expire(d, m)
		return nil
	case s.reroute(d, m):
		return nil
	}
	return m
}

// drop removes a delivery whose message does not exist: nothing could ever be done with it.
func (s *Scheduler) drop(d Delivery, err error) {
	s.o.Observer.Faulted(Fault{Doing: "read the message", Message: d.Message, Err: err})
	s.finish(Settlement{Delivery: d})
}

// reroute moves recipients whose route has changed since the delivery was queued, and those
// whose route keeps mail or throws it away.
func (s *Scheduler) reroute(d Delivery, m *Message) bool {
	if s.stays(&d, m) {
		return false
	}
	to, reply := s.routesOf(d, m)
	if reply != nil {
		s.settle(d, m, failAll(d, Reply{Code: 451, Enhanced: EnhancedCode{4, 3, 5}, Text: "No route: " + reply.Text}), 0)
		return true
	}
	for _, routing := range to {
		if routing != (Routing{To: d.To}) {
			s.move(d, m, to)
			return true
		}
	}
	return false
}

// stays says that all recipients' mail goes where it did, as it does as a rule.
func (s *Scheduler) stays(d *Delivery, m *Message) bool {
	for _, k := range d.Recipients {
		if routing, reply := s.routeOf(d, m, k); reply != nil || routing != (Routing{To: d.To}) {
			return false
		}
	}
	return true
}

// routesOf says where each recipient's mail goes now.
func (s *Scheduler) routesOf(d Delivery, m *Message) ([]Routing, *Reply) {
	to := make([]Routing, len(d.Recipients))
	for i, k := range d.Recipients {
		routing, reply := s.routeOf(&d, m, k)
		if reply != nil {
			return nil, reply
		}
		to[i] = routing
	}
	return to, nil
}

// routeOf says where the mail of the recipient goes now. An operator's word stands before the rules'.
func (s *Scheduler) routeOf(d *Delivery, m *Message, recipient int) (Routing, *Reply) {
	rcpt := m.Envelope.Recipients[recipient]
	rcpt.Route = cmp.Or(d.Route, rcpt.Route)
	routing, reply := s.live().Policy.Route(m, rcpt)
	if d.Released {
		routing = Routing{To: routing.To}
	}
	return routing, reply
}

// move settles a delivery by putting each recipient into the bin of its new destination.
func (s *Scheduler) move(d Delivery, m *Message, to []Routing) {
	var then []Delivery
	index := make(map[Routing]int)
	outcomes := make([]Outcome, len(to))
	for i, routing := range to {
		rcpt := m.Envelope.Recipients[d.Recipients[i]]
		if routing.Discard {
			outcomes[i] = Outcome{Recipient: rcpt, Status: Discarded, Reply: replyDiscarded}
			continue
		}
		k, seen := index[routing]
		if !seen {
			k = len(then)
			index[routing] = k
			next := d
			next.To, next.Held, next.Due, next.Recipients, next.Claimed, next.message = routing.To, routing.Held, s.o.Now(), nil, false, nil
			if next.Held != "" {
				next.HeldSince = next.Due
			}
			then = append(then, next)
		}
		then[k].Recipients = append(then[k].Recipients, d.Recipients[i])
		text := "now for " + routing.To.String()
		if routing.Held != "" {
			text += ", held: " + routing.Held
		}
		outcomes[i] = Outcome{Recipient: rcpt, Status: Moved, Reply: Reply{Text: text}}
	}
	for i := range then {
		then[i].Sole = d.Sole && len(then) == 1
	}
	done := Attempted{Delivery: d, Message: m, Outcomes: outcomes}
	if s.finish(Settlement{Delivery: d, Message: m, Then: then, Events: done.events(s.o.Now())}) {
		s.o.Observer.Attempted(done)
		tellHeld(s.o.Observer, m, then, "")
	}
}
