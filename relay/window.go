package relay

import "time"

// window bounds the connections to a site: additive increase, multiplicative decrease. It
// starts small, doubles in each round of successes until the first setback, then grows by
// one a round. Its methods are functions of the time that they are given.
type window struct {
	size, most float64
	// steady says that the first setback has been: no more doubling.
	steady bool
	shrunk time.Time
	// taken is how many connections the site took when it refused one more for their number, as seen
	// then; 0 when it has not.
	taken   int
	takenAt time.Time
}

const (
	windowStart = 5
	// shrinkPause is how long setbacks count as one event.
	shrinkPause = time.Second
)

func newWindow(most int) window {
	return window{size: float64(min(windowStart, most)), most: float64(most)}
}

// limit is how many connections there may be, at least one.
func (w *window) limit() int { return max(1, int(w.size)) }

// success grows the window, if it is in use: a window that nobody fills says nothing about
// what the site can take.
func (w *window) success(busy int) {
	if busy < w.limit() {
		return
	}
	if w.steady {
		w.size += 1 / w.size
	} else {
		w.size++
	}
	w.size = min(w.size, w.top())
}

// takenAge is when a site is given the chance to take more connections.
const takenAge = time.Hour

// top is the most that the window grows to.
func (w *window) top() float64 {
	if w.taken > 0 {
		return min(w.most, float64(w.taken))
	}
	return w.most
}

// refused learns that the site takes so many connections and no more.
func (w *window) refused(taken int, now time.Time) {
	w.taken, w.takenAt, w.steady = taken, now, true
	w.size = float64(taken)
}

// recheck forgets how many connections the site took, if that was long ago.
func (w *window) recheck(now time.Time) {
	if w.taken > 0 && now.Sub(w.takenAt) > takenAge {
		w.taken = 0
	}
}

// setback shrinks the window.
func (w *window) setback(now time.Time) {
	if !w.shrunk.IsZero() && now.Sub(w.shrunk) < shrinkPause {
		return
	}
	w.shrunk, w.steady = now, true
	w.size = max(1, w.size/2)
}

// restart begins anew with one connection, after the site was unreachable.
func (w *window) restart() { *w = window{size: 1, most: w.most, taken: w.taken, takenAt: w.takenAt} }
