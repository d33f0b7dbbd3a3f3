package relay

import (
	"context"
	"io"
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
	// current is what is being delivered, and ahead what the connection has been told to expect
	// next; nil for nothing.
	current, ahead *load
	// retrying says that the courier counts among those that carry retries.
	retrying bool
	// rested says that the connection was idle before what it carries now.
	rested bool
	// over says that the site has ended the connection.
	over bool
	// most is how many deliveries the connection is to carry.
	most int
	// leaving says that the courier counts among those that leave its pool.
	leaving bool
	// phase is what the courier does, since then; hurried says that it was told to end for that, and
	// writtenOff that it does not count any more. Carries is what is being attempted. They are guarded
	// by the Scheduler's mu.
	phase               Phase
	since               time.Time
	hurried, writtenOff bool
	carries             DeliveryID
	// connected says that it counts among the connected ones.
	connected bool
	// dials and attempts end when the Scheduler's do, or by cancel.
	dials, attempts context.Context
	cancel          func()
	// connect is how long opening the connection took; it is charged to the first delivery.
	connect time.Duration
	// asks says that the courier has not asked yet for what its connection was opened for: for something from these
	// buckets, with passes for these waits.
	asks   bool
	opens  []opening
	passes []*wait
}

// hire starts a courier for the pool, for the sake of a flow.
func (s *Scheduler) hire(p *pool, f *flow) {
	p.couriers++
	p.dialing++
	s.connections++
	c := &courier{s: s, pool: p, handed: make(chan Delivery, 1)}
	dials, endDials := context.WithCancel(s.work)
	attempts, endAttempts := context.WithCancel(s.attempts)
	c.dials, c.attempts = dials, attempts
	c.cancel = func() { endDials(); endAttempts() }
	c.opensFor(&p.rate, p.meters)
	c.opensFor(&f.lane.bin.wait, f.lane.bin.meters)
	c.opensFor(&f.sender.wait, f.meters)
	c.asks = true
	p.asking++
	c.enter(PhaseOpening, s.o.Now())
	p.crew[c] = struct{}{}
	s.goroutines.Go(c.run)
}

func (c *courier) run() {
	defer c.cancel()
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
			if !c.conn.Usable() {
				c.decline(d)
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
		d, ok := s.pick(c, s.o.Now())
		s.mu.Unlock()
		if !ok {
			return false
		}
		needed := s.prepare(d) != nil
		s.spent(c, d, false)
		if needed {
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
	conn, err := c.connectTo(site)
	if err != nil {
		if s.work.Err() == nil {
			s.unreachable(c.pool, began, *asReply(err))
		}
		return false
	}
	c.conn = conn
	c.connect = s.o.Now().Sub(began)
	if !s.connected(c) {
		conn.Close()
		return false
	}
	return true
}

// connectTo asks the transport. A panic there is a failure like any other.
func (c *courier) connectTo(site *Site) (conn Conn, err error) {
	defer c.s.containError("connect to "+site.Key, &err)
	return c.s.live().Transport.Dial(c.dials, site)
}

// next waits for a delivery, for as long as an idle connection is kept.
func (c *courier) next() (Delivery, bool) {
	s, p := c.s, c.pool
	s.mu.Lock()
	if c.writtenOff {
		s.mu.Unlock()
		return Delivery{}, false
	}
	if s.stopped || p.couriers-p.leaving > p.window.limit() {
		c.leave()
		s.mu.Unlock()
		return Delivery{}, false
	}
	c.rested = false
	now, first := s.o.Now(), c.asks
	if d, ok := s.pick(c, now); ok {
		c.enter(PhaseLoading, now)
		if first {
			s.pump(p) // for what was not opened beside it
		}
		s.mu.Unlock()
		return d, true
	}
	// Others that wait for a connection go before one that would rest.
	if s.wanted(p) {
		c.leave()
		s.mu.Unlock()
		return Delivery{}, false
	}
	c.rested = true
	c.enter(PhaseIdle, now)
	p.idle = append(p.idle, c)
	s.resting[p] = struct{}{}
	s.mu.Unlock()

	timer := time.NewTimer(s.live().Idle)
	defer timer.Stop()
	select {
	case d, ok := <-c.handed:
		return d, ok
	case <-timer.C:
	case <-s.work.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.dropIdle(c) {
		if len(p.idle) == 0 {
			delete(s.resting, p)
		}
		return Delivery{}, false
	}
	d, ok := <-c.handed
	return d, ok
}

// leave counts the courier among those that are about to end.
func (c *courier) leave() {
	c.leaving = true
	c.pool.leaving++
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
	l := c.open(d)
	if l == nil {
		c.s.spent(c, d, false)
	}
	return l
}

func (c *courier) open(d Delivery) *load {
	defer c.contain(d)
	m := c.s.prepare(d)
	if m == nil {
		return nil
	}
	body, err := c.s.o.Spool.Body(c.s.attempts, m)
	switch {
	case err != nil && c.s.attempts.Err() != nil:
		c.s.giveUp(d)
		return nil
	case err != nil:
		c.s.unreadable(d, m, err)
		return nil
	}
	return &load{d, m, body}
}

// decline puts a delivery back that the connection is not good for any more.
func (c *courier) decline(d Delivery) {
	c.s.spent(c, d, false)
	c.s.putBack(d)
}

// carry makes one attempt and says whether the connection can carry more.
func (c *courier) carry(l *load) (more bool) {
	defer l.body.Close()
	defer c.contain(l.d)
	began := c.s.o.Now()
	c.current = l
	c.s.begin(c, l, began)
	attempted := true
	defer func() {
		c.current = nil
		c.s.end(c, l.d.DeliveryID)
		c.s.spent(c, l.d, attempted)
	}()
	a := c.conn.Deliver(c.attempts, l.transfer(), c.lookAhead)
	attempted = !a.Untried
	c.conclude(l.d, l.m, a, began)
	return c.conn.Usable() && c.carried < c.most
}

// lookAhead takes the delivery that the connection is to carry after the present one. What
// connections being opened are for is left to them, so that nothing waits here behind a
// slow answer that another could carry at once.
func (c *courier) lookAhead() (Transfer, bool) {
	s, p := c.s, c.pool
	s.mu.Lock()
	enough := s.stopped || c.writtenOff || c.carried+1 >= c.most ||
		p.couriers-p.leaving > p.window.limit() || !p.turns.backlog(p.dialing+1)
	var d Delivery
	ok := false
	if !enough {
		d, ok = s.pick(c, s.o.Now())
	}
	s.mu.Unlock()
	if !ok {
		return Transfer{}, false
	}
	if c.ahead = c.load(d); c.ahead == nil {
		return Transfer{}, false
	}
	t := c.ahead.transfer()
	t.Recall = c.recall
	return t, true
}

// recall gives back what the connection was told to expect, so that it does not wait behind a
// reply that does not come.
func (c *courier) recall() {
	if c.ahead != nil {
		c.giveBack()
	}
}

func (c *courier) giveBack() {
	l := c.ahead
	c.ahead = nil
	l.body.Close()
	c.s.spent(c, l.d, false)
	c.s.putBack(l.d)
}

// contain ends a panic in an attempt: that delivery is deferred, and what was to follow it
// on the connection goes back.
func (c *courier) contain(d Delivery) {
	cause := recover()
	if cause == nil {
		return
	}
	if c.ahead != nil {
		c.giveBack()
	}
	c.s.panicked(d, cause)
}

// conclude sees to what an attempt says of the delivery and of the site.
func (c *courier) conclude(d Delivery, m *Message, a Attempt, began time.Time) {
	s := c.s
	fresh := c.carried == 0
	c.carried++
	connect := c.connect
	c.connect = 0
	switch {
	case a.Untried && !fresh:
		c.lost()
		s.putBack(d)
	case s.attempts.Err() != nil && !a.decided():
		s.giveUp(d)
	case a.Local != nil && !a.decided():
		s.unreadable(d, m, a.Local)
	case a.Local != nil:
		// Some have the message, or were refused, by an earlier transaction: that stands. What is
		// left meets the failure again in an attempt of its own.
		s.o.Observer.Faulted(Fault{Doing: "read the message", Message: d.Message, Err: a.Local})
		s.settle(d, m, a, connect)
	default:
		s.judge(c, a, began)
		s.settle(d, m, a, connect)
	}
}

// lost learns from the end of a connection that had carried something, unless it had been idle,
// which hosts tire of in their own time.
func (c *courier) lost() {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.rested && !c.over {
		c.pool.ended(c.carried-1, s.o.Now())
	}
	c.over = true
}

// decided says whether any recipient's fate is known.
func (a *Attempt) decided() bool {
	return slices.ContainsFunc(a.Replies, func(r Reply) bool { return !r.Temporary() })
}

// complaint is what the site said for itself: never a reply that decided a recipient's fate.
func (a *Attempt) complaint() Reply {
	for _, r := range a.Replies {
		if r.Temporary() {
			return r
		}
	}
	return Reply{Code: 421, Enhanced: EnhancedCode{4, 4, 2}, Text: "The host ends its sessions early"}
}

// recipients resolves the indices that the delivery holds.
func (d *Delivery) recipients(m *Message) []Recipient {
	rs := make([]Recipient, len(d.Recipients))
	for i, k := range d.Recipients {
		rs[i] = m.Envelope.Recipients[k]
	}
	return rs
}
