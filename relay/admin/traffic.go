package admin

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"postrider/relay"
)

// destinationSeries is how many destinations have series of their own; the rest are summed
// as "other". However many domains mail goes to, the number of series stays the same.
const destinationSeries = 50

// otherDestinations is the label of the sum.
const otherDestinations = "other"

// trafficWindow is how long the busiest are counted before they may change places.
const trafficWindow = time.Minute

// candidatesMost bounds the destinations that are counted within a window.
const candidatesMost = 4096

// traffic counts outcomes by destination: the busiest by themselves, the rest as one. All
// counters only grow: one that loses its place adds what it has to "other", and one that
// gains a place counts from there on. The sum over all is exact at any time.
type traffic struct {
	most int
	now  func() time.Time
	desc *prometheus.Desc

	mu sync.RWMutex
	// shown have series of their own. Counting there takes the lock for reading only.
	shown map[relay.Destination]*tally
	other tally
	// candidates are counted within the window, to find out who is busy.
	candidates map[relay.Destination]*tally
	until      time.Time
}

// tally counts the recipients of a destination by status; recent counts since the window began.
type tally struct {
	delivered, deferred, failed atomic.Int64
	recent                      atomic.Int64
}

func newTraffic(most int, now func() time.Time) *traffic {
	return &traffic{
		most: most, now: now, shown: make(map[relay.Destination]*tally), candidates: make(map[relay.Destination]*tally),
		desc: prometheus.NewDesc(namespace+"_destination_recipients_total",
			"What attempts made of recipients, by destination: the busiest by themselves, all others as other. failed is bounced or expired.", []string{"destination", "status"}, nil),
	}
}

// count adds the outcomes of an attempt.
func (t *traffic) count(to relay.Destination, outcomes []relay.Outcome) {
	var sum [3]int64
	for i := range outcomes {
		switch outcomes[i].Status {
		case relay.Delivered:
			sum[0]++
		case relay.Deferred:
			sum[1]++
		case relay.Bounced, relay.Expired:
			sum[2]++
		}
	}
	t.mu.RLock()
	own := t.shown[to]
	if own != nil {
		own.add(sum)
	} else {
		t.other.add(sum)
	}
	t.mu.RUnlock()
	if own == nil {
		t.consider(to, sum)
	}
}

func (c *tally) add(sum [3]int64) {
	for i, n := range c.counters() {
		if sum[i] > 0 {
			n.Add(sum[i])
		}
	}
	c.recent.Add(sum[0] + sum[1] + sum[2])
}

// counters are those that are shown, in the order of tallyWords.
func (c *tally) counters() [3]*atomic.Int64 {
	return [3]*atomic.Int64{&c.delivered, &c.deferred, &c.failed}
}

var tallyWords = [3]string{"delivered", "deferred", "failed"}

// consider counts a destination without a series. While there is room it is given one at once.
func (t *traffic) consider(to relay.Destination, sum [3]int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.shown[to] == nil && len(t.shown) < t.most {
		t.shown[to] = new(tally)
		return
	}
	c := t.candidates[to]
	if c == nil && len(t.candidates) < candidatesMost {
		c = new(tally)
		t.candidates[to] = c
	}
	if c != nil {
		c.recent.Add(sum[0] + sum[1] + sum[2])
	}
	if now := t.now(); now.After(t.until) {
		t.rank()
		t.until = now.Add(trafficWindow)
	}
}

// ranked is a destination and what it did in the window.
type ranked struct {
	to     relay.Destination
	recent int64
}

func ranking(all map[relay.Destination]*tally) []ranked {
	list := make([]ranked, 0, len(all))
	for to, c := range all {
		list = append(list, ranked{to, c.recent.Swap(0)})
	}
	slices.SortFunc(list, func(a, b ranked) int { return cmp.Compare(b.recent, a.recent) })
	return list
}

// rank lets candidates take the places of those that did less than half of what they did in
// the window that ends.
func (t *traffic) rank() {
	shown, candidates := ranking(t.shown), ranking(t.candidates)
	for i, c := range candidates {
		last := len(shown) - 1 - i
		if last < 0 || c.recent <= 2*shown[last].recent {
			break
		}
		t.merge(shown[last].to)
		t.shown[c.to] = new(tally)
	}
	clear(t.candidates)
}

// merge takes the series of a destination away.
func (t *traffic) merge(to relay.Destination) {
	for i, n := range t.shown[to].counters() {
		t.other.counters()[i].Add(n.Load())
	}
	delete(t.shown, to)
}

// Describe implements prometheus.Collector.
func (t *traffic) Describe(ch chan<- *prometheus.Desc) { ch <- t.desc }

// Collect implements prometheus.Collector.
func (t *traffic) Collect(ch chan<- prometheus.Metric) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	send := func(name string, c *tally) {
		for i, n := range c.counters() {
			ch <- prometheus.MustNewConstMetric(t.desc, prometheus.CounterValue, float64(n.Load()), name, tallyWords[i])
		}
	}
	send(otherDestinations, &t.other)
	for to, c := range t.shown {
		send(to.String(), c)
	}
}
