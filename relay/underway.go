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

func (s *Scheduler) begin(id DeliveryID, conn Conn, now time.Time) {
	host, addr := conn.Remote()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.underway[id] = Underway{Host: host, Addr: addr, Since: now}
}

func (s *Scheduler) end(id DeliveryID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.underway, id)
}
