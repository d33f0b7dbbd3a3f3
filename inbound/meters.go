package inbound

import (
	"container/heap"
	"net/netip"
	"slices"
	"sync"
	"time"

	"postrider/inbound/auth"
	"postrider/relay"
)

// metersKept is the most meters that are remembered.
const metersKept = 100_000

// meters measure what clients, users and senders do: the algorithm is the generic cell rate
// algorithm. No more than metersKept are remembered. Whoever has the most of them makes room for
// new ones with that which would have been forgotten the soonest: names that somebody makes up
// push out others that he made up, and neither those of anybody else nor the one that is over
// its rate.
type meters struct {
	now  func() time.Time
	most int

	mu       sync.Mutex
	all      map[meter]*reading
	accounts map[account]*ledger
	largest  bySize
}

// meter names what is measured. Of network and name one is set.
type meter struct {
	what    string
	network netip.Prefix
	name    string
}

// account is who answers for meters: a user, or the wider network of a client. The zero
// account is that of Unix sockets.
type account struct {
	user    string
	network netip.Prefix
}

// claim is one more on a meter, if its rate allows it.
type claim struct {
	meter   meter
	rate    auth.Rate
	reason  relay.Reason
	account account
}

// each is how long one claim takes to leak.
func (c *claim) each() time.Duration { return c.rate.Per / time.Duration(c.rate.N) }

// reading is what a meter shows: the moment at which the bucket will have leaked empty.
// From then on there is nothing to remember.
type reading struct {
	meter  meter
	empty  time.Time
	ledger *ledger
	index  int
}

// ledger has the readings that one account answers for.
type ledger struct {
	account  account
	readings byEmpty
	index    int
}

func newMeters(now func() time.Time, most int) *meters {
	return &meters{now: now, most: most, all: map[meter]*reading{}, accounts: map[account]*ledger{}}
}

// take makes all of the claims, or none and returns the one that there is no room for. For
// those that are to be made later there must be room.
func (m *meters) take(claims []claim, later ...claim) *claim {
	if len(claims)+len(later) == 0 {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	for _, c := range slices.Concat(claims, later) {
		if m.empty(c, now).Sub(now) > c.rate.Per {
			return &c
		}
	}
	m.spend(claims, now)
	return nil
}

// giveBack undoes claims that were made.
func (m *meters) giveBack(claims []claim) {
	if len(claims) == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range claims {
		if r := m.all[c.meter]; r != nil {
			m.show(r, r.empty.Add(-c.each()))
		}
	}
}

func (m *meters) spend(claims []claim, now time.Time) {
	for _, c := range claims {
		at := m.empty(c, now)
		r := m.all[c.meter]
		if r == nil {
			r = m.add(c, now)
		}
		m.show(r, at)
	}
}

// show has the reading show another moment.
func (m *meters) show(r *reading, empty time.Time) {
	r.empty = empty
	heap.Fix(&r.ledger.readings, r.index)
	heap.Fix(&m.largest, r.ledger.index)
}

// empty is when the bucket would have leaked empty with the claim in it.
func (m *meters) empty(c claim, now time.Time) time.Time {
	at := now
	if r := m.all[c.meter]; r != nil && r.empty.After(now) {
		at = r.empty
	}
	return at.Add(c.each())
}

// add makes room for a meter and begins it. Two that have run empty go for each that
// comes, so that there are no more than are needed for long.
func (m *meters) add(c claim, now time.Time) *reading {
	for range 2 {
		if l := m.accounts[c.account]; l != nil && !l.readings[0].empty.After(now) {
			m.forget(l.readings[0])
		}
	}
	l := m.accounts[c.account]
	if len(m.all) >= m.most {
		payer := m.largest[0]
		if l != nil && len(l.readings) >= len(payer.readings) {
			payer = l
		}
		m.forget(payer.readings[0])
		l = m.accounts[c.account]
	}
	if l == nil {
		l = &ledger{account: c.account}
		m.accounts[c.account] = l
		heap.Push(&m.largest, l)
	}
	r := &reading{meter: c.meter, ledger: l}
	m.all[c.meter] = r
	heap.Push(&l.readings, r)
	return r
}

func (m *meters) forget(r *reading) {
	l := r.ledger
	delete(m.all, r.meter)
	heap.Remove(&l.readings, r.index)
	if len(l.readings) > 0 {
		heap.Fix(&m.largest, l.index)
		return
	}
	heap.Remove(&m.largest, l.index)
	delete(m.accounts, l.account)
}

// byEmpty is a heap of readings, that which runs empty the soonest first.
type byEmpty []*reading

// Len implements heap.Interface.
func (h byEmpty) Len() int { return len(h) }

// Less implements heap.Interface.
func (h byEmpty) Less(i, j int) bool { return h[i].empty.Before(h[j].empty) }

// Swap implements heap.Interface.
func (h byEmpty) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *byEmpty) Push(x any) {
	r := x.(*reading)
	r.index = len(*h)
	*h = append(*h, r)
}

// Pop implements heap.Interface.
func (h *byEmpty) Pop() any {
	last := len(*h) - 1
	r := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return r
}

// bySize is a heap of ledgers, the largest first, and of those alike the one of which a
// reading runs empty the soonest.
type bySize []*ledger

// Len implements heap.Interface.
func (h bySize) Len() int { return len(h) }

// Less implements heap.Interface.
func (h bySize) Less(i, j int) bool {
	a, b := h[i].readings, h[j].readings
	if len(a) != len(b) || len(a) == 0 {
		return len(a) > len(b)
	}
	return a[0].empty.Before(b[0].empty)
}

// Swap implements heap.Interface.
func (h bySize) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *bySize) Push(x any) {
	l := x.(*ledger)
	l.index = len(*h)
	*h = append(*h, l)
}

// Pop implements heap.Interface.
func (h *bySize) Pop() any {
	last := len(*h) - 1
	l := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return l
}
