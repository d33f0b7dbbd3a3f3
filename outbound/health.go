package outbound

import (
	"net/netip"
	"sync"
	"time"
)

// health remembers addresses where no session could be opened, so that one dead host of
// several costs nothing: it is tried after all the others. When its time is up, one caller tries
// it in its place again, with little patience.
type health struct {
	now func() time.Time

	mu   sync.Mutex
	sick map[netip.AddrPort]sickness
}

// sickness is how often in a row an address failed, and until when it is left for last.
type sickness struct {
	failures int
	until    time.Time
}

const (
	// sickFirst and sickMost bound how long an address is left for last. It doubles with each failure.
	sickFirst = time.Minute
	sickMost  = 15 * time.Minute
)

func newHealth(now func() time.Time) *health {
	return &health{now: now, sick: make(map[netip.AddrPort]sickness)}
}

// fail notes that no session could be opened.
func (h *health) fail(addr netip.AddrPort) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.sick) >= memorySize {
		clear(h.sick)
	}
	s := h.sick[addr]
	s.failures++
	s.until = h.now().Add(min(sickFirst<<min(s.failures-1, 10), sickMost))
	h.sick[addr] = s
}

// pass notes that a session could be opened.
func (h *health) pass(addr netip.AddrPort) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.sick, addr)
}

// doubtful says that the latest try failed.
func (h *health) doubtful(addr netip.AddrPort) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sick[addr].failures > 0
}

// last says that the address is to be left for last. To one caller it says no when the time
// is up; the others wait for how that one fares.
func (h *health) last(addr netip.AddrPort) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, sick := h.sick[addr]
	if !sick {
		return false
	}
	if now := h.now(); !now.Before(s.until) {
		s.until = now.Add(sickFirst)
		h.sick[addr] = s
		return false
	}
	return true
}
