package admin

import (
	"context"
	"math/bits"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"postrider/relay"
)

// Trend counts facts as an Observer, and remembers how they went over the last hour and day,
// in memory that does not grow. A fact costs two atomic additions.
type Trend struct {
	now func() time.Time

	counts           [trendCounts]atomic.Int64
	answer, delivery latencies

	mu        sync.Mutex
	hour, day ring
}

var _ relay.Observer = (*Trend)(nil)

// What is counted, in the order of Trend.counts.
const (
	countAccepted = iota
	countRefused
	countDelivered
	countDeferred
	countFailed
	trendCounts
)

// How often samples are taken, and how many are kept.
const (
	hourStep, hourSamples = 10 * time.Second, 360
	dayStep, daySamples   = 5 * time.Minute, 288
)

// NewTrend returns a Trend without samples.
func NewTrend(now func() time.Time) *Trend {
	t := &Trend{now: now}
	began := now()
	t.hour = ring{step: hourStep, most: hourSamples, next: began.Add(hourStep), before: began}
	t.day = ring{step: dayStep, most: daySamples, next: began.Add(dayStep), before: began}
	return t
}

// Accepted counts the fact.
func (t *Trend) Accepted(e relay.Accepted) {
	t.counts[countAccepted].Add(1)
	t.answer.add(e.Answer)
}

// Refused counts the fact.
func (t *Trend) Refused(relay.Refused) { t.counts[countRefused].Add(1) }

// Attempted counts what became of recipients.
func (t *Trend) Attempted(e relay.Attempted) {
	for i := range e.Outcomes {
		switch e.Outcomes[i].Status {
		case relay.Delivered:
			t.counts[countDelivered].Add(1)
			if e.Message != nil {
				t.delivery.add(t.now().Sub(e.Message.Received))
			}
		case relay.Deferred:
			t.counts[countDeferred].Add(1)
		case relay.Bounced, relay.Expired:
			t.counts[countFailed].Add(1)
		}
	}
}

// Notified is not counted.
func (t *Trend) Notified(relay.Notified) {}

// Held is not counted.
func (t *Trend) Held(relay.Held) {}

// Gated is not counted.
func (t *Trend) Gated(relay.Gated) {}

// Faulted is not counted.
func (t *Trend) Faulted(relay.Fault) {}

// Sample is what happened in an interval, and how things stood at its end.
type Sample struct {
	At      time.Time `json:"at"`
	Seconds float64   `json:"seconds"`
	// Accepted and Refused are messages and commands; Delivered, Deferred and Failed recipients.
	Accepted  int64 `json:"accepted"`
	Refused   int64 `json:"refused"`
	Delivered int64 `json:"delivered"`
	Deferred  int64 `json:"deferred"`
	Failed    int64 `json:"failed"`
	// AnswerP50 and so on are quantiles in milliseconds, to within an eighth; 0 where nothing
	// happened.
	AnswerP50   float64 `json:"answer_p50_ms"`
	AnswerP99   float64 `json:"answer_p99_ms"`
	DeliveryP50 float64 `json:"delivery_p50_ms"`
	DeliveryP99 float64 `json:"delivery_p99_ms"`
	Queued      int     `json:"queued"`
	Oldest      float64 `json:"oldest_seconds"`
	Connections int     `json:"connections"`
}

// trendLevels are what a sample says of its end.
type trendLevels struct {
	queued, connections int
	oldest              float64
}

// ring keeps the latest samples.
type ring struct {
	step    time.Duration
	most    int
	next    time.Time
	before  time.Time
	last    trendTotals
	samples []Sample
}

// trendTotals are all counters at one time.
type trendTotals struct {
	counts           [trendCounts]int64
	answer, delivery latencyCounts
}

// take adds samples where it is time for them.
func (t *Trend) take(l trendLevels) {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range []*ring{&t.hour, &t.day} {
		if !now.Before(r.next) {
			r.add(now, t.totals(), l)
		}
	}
}

func (t *Trend) totals() (all trendTotals) {
	for i := range t.counts {
		all.counts[i] = t.counts[i].Load()
	}
	all.answer, all.delivery = t.answer.load(), t.delivery.load()
	return all
}

func (r *ring) add(now time.Time, all trendTotals, l trendLevels) {
	since := func(i int) int64 { return all.counts[i] - r.last.counts[i] }
	answer, delivery := all.answer.since(&r.last.answer), all.delivery.since(&r.last.delivery)
	r.samples = append(r.samples, Sample{
		At: now, Seconds: now.Sub(r.before).Seconds(),
		Accepted: since(countAccepted), Refused: since(countRefused),
		Delivered: since(countDelivered), Deferred: since(countDeferred), Failed: since(countFailed),
		AnswerP50: answer.quantile(0.5), AnswerP99: answer.quantile(0.99),
		DeliveryP50: delivery.quantile(0.5), DeliveryP99: delivery.quantile(0.99),
		Queued: l.queued, Oldest: l.oldest, Connections: l.connections,
	})
	if extra := len(r.samples) - r.most; extra > 0 {
		r.samples = append(r.samples[:0], r.samples[extra:]...)
	}
	r.last, r.before, r.next = all, now, now.Add(r.step)
}

// Samples are those of the last hour, or of the last day, the oldest first.
func (t *Trend) Samples(day bool) []Sample {
	t.mu.Lock()
	defer t.mu.Unlock()
	if day {
		return append([]Sample{}, t.day.samples...)
	}
	return append([]Sample{}, t.hour.samples...)
}

// latencyBuckets are four for each doubling of a microsecond.
const latencyBuckets = 4 * 48

// latencies counts durations.
type latencies [latencyBuckets]atomic.Int64

type latencyCounts [latencyBuckets]int64

func (h *latencies) add(d time.Duration) {
	us := uint64(max(d.Microseconds(), 4))
	top := bits.Len64(us)
	h[min(top*4+int(us>>(top-3)&3), latencyBuckets-1)].Add(1)
}

func (h *latencies) load() (c latencyCounts) {
	for i := range h {
		c[i] = h[i].Load()
	}
	return c
}

func (c *latencyCounts) since(before *latencyCounts) (d latencyCounts) {
	for i := range c {
		d[i] = c[i] - before[i]
	}
	return d
}

// quantile is the middle of the bucket that the quantile lies in, in milliseconds.
func (c *latencyCounts) quantile(q float64) float64 {
	var sum, seen int64
	for _, n := range c {
		sum += n
	}
	for i, n := range c {
		if seen += n; n > 0 && float64(seen) >= q*float64(sum) {
			unit := float64(uint64(1) << (i/4 - 3))
			return (float64(4+i%4) + 0.5) * unit / 1000
		}
	}
	return 0
}

// sample takes samples until ctx ends.
func (s *Server) sample(ctx context.Context) {
	tick := time.NewTicker(hourStep)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.o.Trend.take(s.levels(ctx))
		}
	}
}

// levels are how things stand. The depth of the queue is that of the last census, which is
// taken anew only as often as is cheap.
func (s *Server) levels(ctx context.Context) (l trendLevels) {
	if c, err := s.census.recent(ctx); err == nil {
		l.queued = c.Deliveries
		if !c.Oldest.IsZero() {
			l.oldest = max(s.o.Now().Sub(c.Oldest), 0).Seconds()
		}
	}
	l.connections = s.o.Scheduler.Connections()
	return l
}

func (s *Server) trend(w http.ResponseWriter, r *http.Request) {
	answer(w, s.o.Trend.Samples(r.URL.Query().Get("span") == "day"))
}
