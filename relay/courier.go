package relay

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"time"
)

// courier owns one connection to a site and carries deliveries over it, one after the
// other, until it has been idle for long, the connection is used up, or the scheduler
// stops. It is one goroutine; nobody else touches the connection.
type courier struct {
	s    *Scheduler
	pool *pool
	// handed is where an idle courier is given a delivery. It has room for one.
	handed chan Delivery
	conn   Conn
	// carried counts the deliveries of this connection.
	carried int
	// ahead is what the connection has been told to expect next; nil for nothing.
	ahead *load
	// connect is how long opening the connection took; it is charged to the first delivery.
	connect time.Duration
}

// hire starts a courier for the pool.
func (s *Scheduler) hire(p *pool) {
	p.couriers++
	p.dialing++
	s.connections++
	c := &courier{s: s, pool: p, handed: make(chan Delivery, 1)}
	s.goroutines.Go(c.run)
}

func (c *courier) run() {
	defer c.s.retire(c)
	if !c.vet() || !c.dial() {
		return
	}
	defer c.conn.Close()
	for {
		l := c.ahead
		c.ahead = nil
		if l == nil {
			d, ok := c.next()
			if !ok {
				return
			}
			l = c.load(d)
		}
		if l != nil && !c.carry(l) && c.ahead == nil {
			return
		}
	}
}

// vet sees, before a probe, to the deliveries that no longer need this site: a host that is
// gone for good must not keep mail that has expired or has another way now. It says
// whether there is a delivery left to probe for.
func (c *courier) vet() bool {
	s := c.s
	for {
		s.mu.Lock()
		if c.pool.gate.open() {
			s.mu.Unlock()
			return true
		}
		d, ok := s.pick(c.pool, s.o.Now())
		s.mu.Unlock()
		if !ok {
			return false
		}
		if s.prepare(d) != nil {
			s.putBack(d)
			return true
		}
	}
}

// dial opens the connection. It holds no delivery meanwhile: whoever connects first
// carries what there is.
func (c *courier) dial() bool {
	s := c.s
	s.mu.Lock()
	site := c.pool.site
	s.mu.Unlock()
	began := s.o.Now()
	conn, err := s.o.Transport.Dial(s.work, site)
	if err != nil {
		if s.work.Err() == nil {
			s.unreachable(c.pool, began, *asReply(err))
		}
		return false
	}
	c.conn = conn
	c.connect = s.o.Now().Sub(began)
	s.connected(c.pool)
	return true
}

// next waits for a delivery, for as long as an idle connection is kept.
func (c *courier) next() (Delivery, bool) {
	s, p := c.s, c.pool
	s.mu.Lock()
	if s.stopped || p.couriers > p.window.limit() {
		s.mu.Unlock()
		return Delivery{}, false
	}
	if d, ok := s.pick(p, s.o.Now()); ok {
		s.mu.Unlock()
		return d, true
	}
	p.idle = append(p.idle, c)
	s.mu.Unlock()

	timer := time.NewTimer(s.o.Idle)
	defer timer.Stop()
	select {
	case d := <-c.handed:
		return d, true
	case <-timer.C:
	case <-s.work.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.dropIdle(c) {
		return Delivery{}, false
	}
	return <-c.handed, true
}

// load is a delivery that is ready to go out: its message is at hand and its body open.
type load struct {
	d    Delivery
	m    *Message
	body io.ReadSeekCloser
}

// transfer is the load as a connection sees it.
func (l *load) transfer() Transfer {
	return Transfer{Message: l.m, Recipients: l.d.recipients(l.m), Body: l.body}
}

// load makes a delivery ready; nil when it needs no attempt or cannot have one.
func (c *courier) load(d Delivery) *load {
	var m *Message
	defer c.contain(d, &m)
	if m = c.s.prepare(d); m == nil {
		return nil
	}
	body, err := c.s.o.Spool.Body(c.s.attempts, m)
	if err != nil {
		c.s.unreadable(d, m, err)
		return nil
	}
	return &load{d, m, body}
}

// carry makes one attempt and says whether the connection can carry more.
func (c *courier) carry(l *load) (more bool) {
	defer l.body.Close()
	defer c.contain(l.d, &l.m)
	a := c.conn.Deliver(c.s.attempts, l.transfer(), c.lookAhead)
	c.conclude(l.d, l.m, a)
	return c.conn.Usable() && c.carried < c.s.o.MessagesPerConnection
}

// lookAhead takes the delivery that the connection is to carry after the present one. What
// connections being opened are for is left to them, so that nothing waits here behind a
// slow answer that another could carry at once.
func (c *courier) lookAhead() (Transfer, bool) {
	s, p := c.s, c.pool
	s.mu.Lock()
	enough := s.stopped || c.carried+1 >= s.o.MessagesPerConnection ||
		p.couriers > p.window.limit() || !p.backlog(p.dialing+1)
	var d Delivery
	ok := false
	if !enough {
		d, ok = s.pick(p, s.o.Now())
	}
	s.mu.Unlock()
	if !ok {
		return Transfer{}, false
	}
	if c.ahead = c.load(d); c.ahead == nil {
		return Transfer{}, false
	}
	return c.ahead.transfer(), true
}

// contain ends a panic in an attempt: that delivery is deferred, and what was to follow it
// on the connection goes back.
func (c *courier) contain(d Delivery, m **Message) {
	cause := recover()
	if cause == nil {
		return
	}
	if l := c.ahead; l != nil {
		c.ahead = nil
		l.body.Close()
		c.s.putBack(l.d)
	}
	c.s.panicked(d, *m, cause)
}

// conclude sees to what an attempt says of the delivery and of the site.
func (c *courier) conclude(d Delivery, m *Message, a Attempt) {
	s := c.s
	fresh := c.carried == 0
	c.carried++
	connect := c.connect
	c.connect = 0
	switch {
	case a.Untried && !fresh:
		s.putBack(d)
	case s.attempts.Err() != nil && !a.decided():
		s.giveUp(d)
	case a.Local != nil:
		s.unreadable(d, m, a.Local)
	default:
		s.judge(c.pool, a)
		s.settle(d, m, a, connect)
	}
}

// decided says whether any recipient's fate is known.
func (a *Attempt) decided() bool {
	return slices.ContainsFunc(a.Replies, func(r Reply) bool { return !r.Temporary() })
}

// recipients resolves the indices that the delivery holds.
func (d *Delivery) recipients(m *Message) []Recipient {
	rs := make([]Recipient, len(d.Recipients))
	for i, k := range d.Recipients {
		rs[i] = m.Envelope.Recipients[k]
	}
	return rs
}

// connected counts a connection in and, if the site had been unreachable, opens its gate.
func (s *Scheduler) connected(p *pool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.dialing--
	p.connected++
	if !p.gate.pass() {
		return
	}
	p.window.restart()
	p.setbacks = 0
	s.o.Observer.Gated(Gated{Name: p.site.Key})
	for b := range p.members {
		s.advance(b)
	}
}

// unreachable closes the gate of a site that could not be connected to.
func (s *Scheduler) unreachable(p *pool, began time.Time, reply Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.window.setback(s.o.Now())
	s.shut(p, began, reply)
}

// shut counts a failure of the site and, when no connection is left, sends what waits for
// it in memory back to the spool: a closed gate costs no memory and no work per message.
func (s *Scheduler) shut(p *pool, began time.Time, reply Reply) {
	now := s.o.Now()
	if p.gate.fail(began, now, p.site.Smart, s.o.Chance(), reply) {
		s.o.Observer.Gated(Gated{Name: p.site.Key, Closed: true, Until: p.gate.until, Reply: reply})
	}
	s.clear(p)
}

// clear unloads the bins of a pool whose gate is closed and that has no connection.
func (s *Scheduler) clear(p *pool) {
	if p.gate.open() || p.connected > 0 {
		return
	}
	for b := range p.members {
		if b.count > 0 {
			s.unload(b)
		}
		s.advance(b)
	}
}

// judge draws the attempt's lesson about the site.
func (s *Scheduler) judge(p *pool, a Attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.o.Now()
	if !a.Setback {
		p.setbacks = 0
		p.window.success(p.couriers - len(p.idle))
		s.pump(p)
		return
	}
	p.window.setback(now)
	p.setbacks++
	if p.setbacks >= setbackLimit {
		s.shut(p, now, a.Replies[0])
	}
}

// retire counts a courier out and lets others have its place.
func (s *Scheduler) retire(c *courier) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := c.pool
	p.couriers--
	s.connections--
	if c.conn == nil {
		p.dialing--
	} else {
		p.connected--
	}
	s.clear(p)
	s.pump(p)
	if p.couriers == 0 {
		for b := range p.members {
			s.advance(b)
		}
	}
	s.reap(p)
	for other := range s.blocked {
		if s.connections >= s.o.ConnectionsTotal {
			break
		}
		delete(s.blocked, other)
		s.pump(other)
	}
}

// panicked reports a panic in an attempt and defers its delivery.
func (s *Scheduler) panicked(d Delivery, m *Message, cause any) {
	err := fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
	s.o.Observer.Faulted(Fault{Doing: "attempt delivery", Message: d.Message, Err: err})
	if m == nil {
		s.giveUp(d)
		return
	}
	s.settle(d, m, failAll(d, *LocalError(err)), 0)
}

// unreadable handles a message that the spool does not yield: what is corrupt is set aside,
// else the delivery is tried again later.
func (s *Scheduler) unreadable(d Delivery, m *Message, err error) {
	s.o.Observer.Faulted(Fault{Doing: "read the message", Message: d.Message, Err: err})
	if errors.Is(err, ErrCorrupt) && s.quarantine(d, err) {
		return
	}
	if m == nil {
		s.giveUpFor(d, spoolPause)
		return
	}
	s.settle(d, m, failAll(d, *LocalError(err)), 0)
}

// quarantine sets the whole message aside.
func (s *Scheduler) quarantine(d Delivery, cause error) bool {
	if err := s.o.Spool.Quarantine(s.settles, d.Message, cause.Error()); err != nil {
		s.o.Observer.Faulted(Fault{Doing: "quarantine the message", Message: d.Message, Err: err})
		return false
	}
	s.o.Spool.Release(d)
	s.landed(d)
	return true
}

// failAll is an attempt that met the same reply for every recipient without a session.
func failAll(d Delivery, reply Reply) Attempt {
	a := Attempt{Replies: make([]Reply, len(d.Recipients))}
	for i := range a.Replies {
		a.Replies[i] = reply
	}
	return a
}
