package outbound

import (
	"net/netip"
	"sync"
	"time"
)

// health remembers addresses where no session could be opened, so that one dead host of
// several costs nothing: it is tried after all the others. When its time is up, one caller is to see
// how it fares: see Transport.candidates.
type health struct {
	now func() time.Time

	mu   sync.Mutex
	sick map[place]sickness
}

// place is an address as one route meets it: where another one comes from, and who it is there, may
// make all the difference.
type place struct {
	route string
	addr  netip.AddrPort
}

func (r *Route) place(addr netip.AddrPort) place { return place{r.Name, addr} }

// sickness is how often in a row an address failed, and until when it is left for last.
type sickness struct {
	failures int
	until    time.Time
}

// standing is what is thought of an address.
type standing uint8

const (
	// standingWell has not failed, as far as is known.
	standingWell standing = iota
	// standingSick is left for last.
	standingSick
	// standingDue has been left for last long enough. Only one caller hears that.
	standingDue
)

const (
	// sickFirst and sickMost bound how long an address is left for last. It doubles with each failure.
	sickFirst = time.Minute
	sickMost  = 15 * time.Minute
)

func newHealth(now func() time.Time) *health {
	return &health{now: now, sick: make(map[place]sickness)}
}

// fail notes that no session could be opened.
func (h *health) fail(at place) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.sick) >= memorySize {
		clear(h.sick)
	}
	s := h.sick[at]
	s.failures++
	s.until = h.now().Add(min(sickFirst<<min(s.failures-1, 10), sickMost))
	h.sick[at] = s
}

// pass notes that a session could be opened.
func (h *health) pass(at place) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.sick, at)
}

// doubtful says that the latest try failed.
func (h *health) doubtful(at place) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sick[at].failures > 0
}

// standing says what is thought of the address. The one who hears that it is due is to try it; for
// the others it is sick until that one knows more.
func (h *health) standing(at place) standing {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, known := h.sick[at]
	if !known {
		return standingWell
	}
	if now := h.now(); !now.Before(s.until) {
		s.until = now.Add(sickFirst)
		h.sick[at] = s
		return standingDue
	}
	return standingSick
}
