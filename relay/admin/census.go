package admin

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"postrider/relay"
)

// Stats is how much waits where, and for how long: what Postfix calls qshape.
type Stats struct {
	Taken time.Time `json:"taken"`
	// TookMS is how long the census took, in milliseconds.
	TookMS     int64     `json:"took_ms"`
	Deliveries int       `json:"deliveries"`
	Held       int       `json:"held"`
	Oldest     time.Time `json:"oldest,omitzero"`
	// Destinations is how many have mail that is not held; Rows has those with most mail.
	Destinations int `json:"destinations"`
	// Minutes are the upper bounds of the ages in Ages, but for the last, which has none.
	Minutes []int   `json:"minutes"`
	Ages    []int   `json:"ages"`
	Rows    []Depth `json:"rows"`
}

// Depth is what waits for a destination.
type Depth struct {
	Destination string `json:"destination"`
	Deliveries  int    `json:"deliveries"`
	Held        int    `json:"held"`
	// Due counts those whose time has come.
	Due    int       `json:"due"`
	Oldest time.Time `json:"oldest,omitzero"`
	Ages   []int     `json:"ages"`
}

// ageMinutes are qshape's.
func ageMinutes() []int { return []int{5, 10, 20, 40, 80, 160, 320, 640, 1280} }

// census counts what waits, in one pass over the keys of the spool, in memory that does not
// grow with the number of messages or destinations.
type census struct {
	now     time.Time
	minutes []int
	most    int
	stats   Stats
	row     *Depth
	// apart says that the row began among what is held.
	apart bool
}

// takeCensus counts, and keeps the rows of at most so many destinations.
func takeCensus(places iter.Seq2[relay.Place, error], now time.Time, most int) (Stats, error) {
	c := &census{now: now, minutes: ageMinutes(), most: max(most, 1)}
	c.stats = Stats{Taken: now, Minutes: c.minutes, Ages: make([]int, len(c.minutes)+1), Rows: []Depth{}}
	var to relay.Destination
	for p, err := range places {
		if err != nil {
			return Stats{}, err
		}
		if c.row == nil || p.To != to || p.Held != c.apart {
			to = p.To
			c.begin(p)
		}
		c.add(p)
	}
	c.trim(c.most)
	return c.stats, nil
}

// begin starts the row of a destination. What is held comes last: its row may be there.
func (c *census) begin(p relay.Place) {
	name := p.To.String()
	c.apart = p.Held
	if p.Held {
		i := slices.IndexFunc(c.stats.Rows, func(d Depth) bool { return d.Destination == name })
		if i >= 0 {
			c.row = &c.stats.Rows[i]
			return
		}
	}
	if len(c.stats.Rows) >= 4*c.most {
		c.trim(c.most)
	}
	c.stats.Destinations += number(!p.Held)
	c.stats.Rows = append(c.stats.Rows, Depth{Destination: name, Ages: make([]int, len(c.minutes)+1)})
	c.row = &c.stats.Rows[len(c.stats.Rows)-1]
}

func (c *census) add(p relay.Place) {
	arrived := p.Message.Time()
	age := c.ageOf(arrived)
	c.stats.Ages[age]++
	c.stats.Deliveries++
	c.stats.Oldest = earlier(c.stats.Oldest, arrived)
	c.row.Ages[age]++
	c.row.Deliveries++
	c.row.Oldest = earlier(c.row.Oldest, arrived)
	switch {
	case p.Held:
		c.stats.Held++
		c.row.Held++
	case !p.Due.After(c.now):
		c.row.Due++
	}
}

// ageOf is which of the ages that of a message is.
func (c *census) ageOf(arrived time.Time) int {
	minutes := int(c.now.Sub(arrived) / time.Minute)
	for i, bound := range c.minutes {
		if minutes <= bound {
			return i
		}
	}
	return len(c.minutes)
}

// earlier is the earlier of two times, of which the first may be none yet.
func earlier(t, u time.Time) time.Time {
	if t.IsZero() || u.Before(t) {
		return u
	}
	return t
}

// trim keeps the rows with most deliveries.
func (c *census) trim(most int) {
	slices.SortFunc(c.stats.Rows, func(a, b Depth) int {
		return cmp.Or(cmp.Compare(b.Deliveries, a.Deliveries), cmp.Compare(a.Destination, b.Destination))
	})
	c.stats.Rows = c.stats.Rows[:min(most, len(c.stats.Rows))]
}

// A census is taken anew for metrics when it is older than censusLeast, and than censusShare
// times what it took, up to censusMost: looking at the queue must not become a load of its own.
const (
	censusLeast = 15 * time.Second
	censusShare = 300
	// censusMost is how old it gets at most.
	censusMost = 15 * time.Minute
)

// censusTaker takes censuses, one at a time.
type censusTaker struct {
	spool relay.Spool
	now   func() time.Time

	mu   sync.Mutex
	last Stats
}

// recent is the last census if it is not old, or a new one.
func (t *censusTaker) recent(ctx context.Context) (Stats, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := min(max(censusLeast, censusShare*time.Duration(t.last.TookMS)*time.Millisecond), censusMost)
	if !t.last.Taken.IsZero() && t.now().Sub(t.last.Taken) < old {
		return t.last, nil
	}
	s, err := t.take(ctx, destinationSeries)
	if err == nil {
		t.last = s
	}
	return s, err
}

// fresh is a new census.
func (t *censusTaker) fresh(ctx context.Context, most int) (Stats, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.take(ctx, most)
}

func (t *censusTaker) take(ctx context.Context, most int) (Stats, error) {
	began := t.now()
	s, err := takeCensus(t.spool.Places(ctx, relay.Place{}), began, most)
	s.TookMS = t.now().Sub(began).Milliseconds()
	return s, err
}

// Figures shows the census to metrics. While it cannot be taken there are none, and the log
// of the spool says why.
func (t *censusTaker) Figures() []relay.Figure {
	s, err := t.recent(context.Background())
	if err != nil {
		return nil
	}
	age := func(oldest time.Time) float64 {
		if oldest.IsZero() {
			return 0
		}
		return max(t.now().Sub(oldest), 0).Seconds()
	}
	figures := []relay.Figure{
		{Name: "queue_deliveries", Help: "Deliveries that wait, held ones included.", Value: float64(s.Deliveries)},
		{Name: "queue_held_deliveries", Help: "Deliveries that are held.", Value: float64(s.Held)},
		{Name: "queue_destinations", Help: "Destinations that mail waits for.", Value: float64(s.Destinations)},
		{Name: "queue_oldest_seconds", Help: "Age of the oldest message that waits.", Value: age(s.Oldest)},
	}
	for i := range s.Rows {
		row := &s.Rows[i]
		labels := []string{"destination", row.Destination}
		figures = append(figures,
			relay.Figure{Name: "destination_queue_deliveries", Help: "Deliveries that wait, of the destinations with most.", Labels: labels, Value: float64(row.Deliveries)},
			relay.Figure{Name: "destination_queue_oldest_seconds", Help: "Age of the oldest message that waits, of the destinations with most.", Labels: labels, Value: age(row.Oldest)},
		)
	}
	return figures
}
