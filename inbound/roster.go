package inbound

import (
	"net/netip"
	"sync"

	"postrider/relay"
)

// roster has the sessions that are going on, and keeps their number within the limits.
type roster struct {
	limits Limits

	mu        sync.Mutex
	draining  bool
	sessions  map[*session]struct{}
	byNetwork map[netip.Prefix]int
}

func newRoster(limits Limits) *roster {
	return &roster{limits: limits, sessions: map[*session]struct{}{}, byNetwork: map[netip.Prefix]int{}}
}

// enter takes a session in, or says why not.
func (r *roster) enter(s *session) *relay.Reply {
	network := networkOf(s.origin.Client)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.draining:
		return &replyDraining
	case len(r.sessions) >= r.limits.Connections:
		return &replyTooBusy
	case network.IsValid() && r.byNetwork[network] >= r.limits.ConnectionsPerClient:
		return &replyCrowded
	}
	r.sessions[s] = struct{}{}
	r.byNetwork[network]++
	return nil
}

// leave forgets a session that was taken in.
func (r *roster) leave(s *session) {
	network := networkOf(s.origin.Client)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sessions, s)
	if r.byNetwork[network]--; r.byNetwork[network] == 0 {
		delete(r.byNetwork, network)
	}
}

// networkOf is what one client is taken to own: an IPv4 address, an IPv6 /64. It is not
// valid for an invalid address.
func networkOf(client netip.Addr) netip.Prefix {
	bits := 32
	if client.Is6() {
		bits = 64
	}
	network, err := client.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return network
}

// drain lets every session end at its next command.
func (r *roster) drain() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.draining = true
	for s := range r.sessions {
		s.drain()
	}
}

// cut ends every session.
func (r *roster) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range r.sessions {
		s.cut()
	}
}
