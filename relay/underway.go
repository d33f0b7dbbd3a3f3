package relay

import "time"

// Underway is an attempt that is being made.
type Underway struct {
	Host, Addr string
	Since      time.Time
}

// Underway shows the attempt that is being made at a delivery; false when there is none.
func (s *Scheduler) Underway(id DeliveryID) (Underway, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.underway[id]
	return u, ok
}

// begin says that the courier makes an attempt now.
func (s *Scheduler) begin(c *courier, l *load, now time.Time) {
	host, addr := c.conn.Remote()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.underway[l.d.DeliveryID] = Underway{Host: host, Addr: addr, Since: now}
	c.enter(PhaseCarrying, now)
	c.carries = l.d.DeliveryID
	c.most = c.pool.messagesPerConnection(s.live().MessagesPerConnection, now)
	s.weigh(c.pool, &l.d, l.m.Size, now)
}

func (s *Scheduler) end(c *courier, id DeliveryID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.phase == PhaseCarrying {
		c.enter(PhaseLoading, s.o.Now())
	}
	delete(s.underway, id)
}
