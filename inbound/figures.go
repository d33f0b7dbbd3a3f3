package inbound

import (
	"maps"
	"slices"
	"sync"

	"postrider/relay"
)

// tally counts what figures show. Its keys are names of listeners and TLS versions.
type tally struct {
	mu                            sync.Mutex
	accepted, refused, handshakes map[string]int
}

func newTally() *tally {
	return &tally{accepted: make(map[string]int), refused: make(map[string]int), handshakes: make(map[string]int)}
}

// met counts a connection at a listener, and whether it was turned away at once.
func (t *tally) met(listener string, refused bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if refused {
		t.refused[listener]++
		return
	}
	t.accepted[listener]++
}

// handshake counts one by its version, or as failed.
func (t *tally) handshake(version string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.handshakes[version]++
}

// Figures measures connections and TLS, by listener and version.
func (s *Server) Figures() []relay.Figure {
	var all []relay.Figure
	series := func(f relay.Figure, label string, counts map[string]int) {
		for _, name := range slices.Sorted(maps.Keys(counts)) {
			f.Labels, f.Value = []string{label, name}, float64(counts[name])
			all = append(all, f)
		}
	}
	t := s.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	open := s.roster.open()
	for listener := range t.accepted {
		open[listener] += 0 // one that nobody is connected to now has a series all the same
	}
	series(relay.Figure{Name: "inbound_connections", Help: "Connections of clients that are open."}, "listener", open)
	series(relay.Figure{Name: "inbound_connections_accepted_total", Help: "Connections of clients that were taken in.", Grows: true}, "listener", t.accepted)
	series(relay.Figure{Name: "inbound_connections_refused_total", Help: "Connections of clients that were turned away at once, for a limit.", Grows: true}, "listener", t.refused)
	series(relay.Figure{Name: "inbound_tls_handshakes_total", Help: "TLS handshakes with clients, by version, or failed.", Grows: true}, "version", t.handshakes)
	return all
}

// open counts the sessions of each listener.
func (r *roster) open() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.byListener)
}
