package relay

import (
	"cmp"
	"slices"
	"time"
)

// SiteStatus is how a site stands, and what its connections do.
type SiteStatus struct {
	// Key names the site.
	Key string
	// Opening, Carrying and Idle count connections by phase; Window is how many there may be.
	Opening, Carrying, Idle, Window int
	// Destinations is how many share the site.
	Destinations int
	// Closed says that the gate is closed for Reason until the next probe.
	Closed bool
	Until  time.Time
	Reason Reply
}

// Sites shows all sites, by key.
func (s *Scheduler) Sites() []SiteStatus {
	s.mu.Lock()
	all := make([]SiteStatus, 0, len(s.pools))
	for _, p := range s.pools {
		all = append(all, p.siteStatus())
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b SiteStatus) int { return cmp.Compare(a.Key, b.Key) })
	return all
}

// Connections is how many connections to next hops are open.
func (s *Scheduler) Connections() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.pools {
		n += p.connected
	}
	return n
}

func (p *pool) siteStatus() SiteStatus {
	v := SiteStatus{
		Key: p.site.Key, Opening: p.dialing, Idle: len(p.idle), Carrying: max(0, p.connected-len(p.idle)),
		Window: p.window.limit(), Destinations: len(p.members),
	}
	if !p.gate.open() {
		v.Closed, v.Until, v.Reason = true, p.gate.until, p.gate.reply
	}
	return v
}

// ActiveAttempt is an attempt that is being made, and the delivery that it is made for.
type ActiveAttempt struct {
	DeliveryID
	Underway
}

// Attempts shows the attempts that are being made, the oldest first.
func (s *Scheduler) Attempts() []ActiveAttempt {
	s.mu.Lock()
	all := make([]ActiveAttempt, 0, len(s.underway))
	for id, u := range s.underway {
		all = append(all, ActiveAttempt{id, u})
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b ActiveAttempt) int { return a.Since.Compare(b.Since) })
	return all
}
