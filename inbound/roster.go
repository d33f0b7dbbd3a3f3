package inbound

import (
	"net/netip"
	"sync"

	"postrider/relay"
)

// roster has the sessions that are going on, and keeps their number within the limits.
type roster struct {
	limits Limits

	mu         sync.Mutex
	draining   bool
	sessions   map[*session]struct{}
	byListener map[string]int
	byNetwork  map[netip.Prefix]int
	byUser     map[string]int
	// parting counts sessions that have left and are not forgotten yet.
	parting int
}

// place is what a session counts as in the roster.
type place struct {
	network netip.Prefix // not valid where the client has no address, or none yet
	user    string
}

func newRoster(limits Limits) *roster {
	return &roster{
		limits: limits, sessions: map[*session]struct{}{}, byListener: map[string]int{},
		byNetwork: map[netip.Prefix]int{}, byUser: map[string]int{},
	}
}

// enter takes a session in, or says why not.
func (r *roster) enter(s *session) *relay.Reply {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.draining:
		return &replyDraining
	case len(r.sessions) >= r.limits.Connections, r.byListener[s.listener.Name] >= s.limits.Connections:
		return &replyTooBusy
	}
	if reply := r.place(s, place{network: networkOf(s.origin.Client)}); reply != nil {
		return reply
	}
	r.sessions[s] = struct{}{}
	r.byListener[s.listener.Name]++
	return nil
}

// move counts a session that was taken in as that of its client and user of now, or says
// why it cannot stay.
func (r *roster) move(s *session) *relay.Reply {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.place(s, place{networkOf(s.origin.Client), s.origin.User})
}

// place counts the session at its new place, and no more at its old one.
func (r *roster) place(s *session, to place) *relay.Reply {
	switch from := s.place; {
	case to.network != from.network && to.network.IsValid() && r.byNetwork[to.network] >= s.limits.ConnectionsPerClient:
		return &replyCrowded
	case to.user != from.user && to.user != "" && s.limits.ConnectionsPerUser > 0 && r.byUser[to.user] >= s.limits.ConnectionsPerUser:
		return &replyBusyUser
	}
	s.place, to = to, s.place
	count(r.byNetwork, s.place.network, +1)
	count(r.byUser, s.place.user, +1)
	count(r.byNetwork, to.network, -1)
	count(r.byUser, to.user, -1)
	return nil
}

// count adds to a number of sessions. Nobody in particular is not counted, and what is
// down to none is forgotten.
func count[K comparable](m map[K]int, key K, n int) {
	var nobody K
	if key == nobody {
		return
	}
	if m[key] += n; m[key] == 0 {
		delete(m, key)
	}
}

// leave counts a session that was taken in no more, save as one whose end is on its way until it is forgotten.
// It says whether there is patience for that: clients that let us wait for it are not to have more of us
// than those who stay.
func (r *roster) leave(s *session) (patient bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sessions, s)
	count(r.byListener, s.listener.Name, -1)
	count(r.byNetwork, s.place.network, -1)
	count(r.byUser, s.place.user, -1)
	r.parting++
	return r.parting <= r.limits.Connections
}

// forget is for a session that has left.
func (r *roster) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.parting--
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

// drainOthers is drain for the sessions of doors that are not among those, or not by that name.
func (r *roster) drainOthers(names map[*door]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range r.sessions {
		if name, stays := names[s.door]; !stays || name != s.listener.Name {
			s.drain()
		}
	}
}

// limit holds who comes from now on to other limits.
func (r *roster) limit(l Limits) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limits = l
}

// cut ends every session.
func (r *roster) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range r.sessions {
		s.cut()
	}
}
