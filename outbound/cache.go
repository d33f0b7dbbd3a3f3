package outbound

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// staleFor is how long an answer outlives its time where no new one is to be had: mail
// goes on while DNS is away (RFC 8767).
const staleFor = time.Hour

// evictionScan is how many entries are looked at for one to drop. Maps are walked in random
// order, so that is a sample.
const evictionScan = 16

// cache keeps answers for their time to live, the negative ones too, and asks once where
// many want to know the same.
type cache struct {
	next resolver
	now  func() time.Time
	size int
	// tally counts questions and answers.
	tally *tally

	mu      sync.Mutex
	entries map[question]*entry
}

// entry is what is known of a question, and who is asking it.
type entry struct {
	answer answer
	// known says that answer has been set.
	known bool
	// flight is nil when nobody is asking.
	flight *flight
}

// flight is one look-up that many may wait for. Its result stands once done is closed.
type flight struct {
	done   chan struct{}
	answer answer
	err    error
	// abandoned says that whoever asked gave up, which is nobody else's answer.
	abandoned bool
}

func newCache(next resolver, size int, now func() time.Time) *cache {
	return &cache{next: next, now: now, size: size, tally: newTally(), entries: make(map[question]*entry)}
}

// lookup implements resolver. The first to ask does so in its own context; if that ends
// early, another of those who wait takes over.
func (c *cache) lookup(ctx context.Context, q question) (answer, error) {
	for {
		a, f, first := c.join(q)
		if f == nil {
			c.tally.hit()
			return a, nil
		}
		if first {
			c.ask(ctx, q, f)
			return f.answer, f.err
		}
		select {
		case <-f.done:
			if !f.abandoned {
				return f.answer, f.err
			}
		case <-ctx.Done():
			return answer{}, ctx.Err()
		}
	}
}

// join returns a fresh answer, or the flight to wait for; the first to join it is to ask.
func (c *cache) join(q question) (a answer, f *flight, first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[q]
	switch {
	case !ok:
		c.evict()
		e = &entry{}
		c.entries[q] = e
	case e.known && c.now().Before(e.answer.expires):
		return e.answer, nil, false
	case e.flight != nil:
		return answer{}, e.flight, false
	}
	e.flight = &flight{done: make(chan struct{})}
	return answer{}, e.flight, true
}

// ask ends a flight. An answer that could not be renewed is good for a while longer.
func (c *cache) ask(ctx context.Context, q question, f *flight) {
	began := c.now()
	f.answer, f.err = c.contained(ctx, q)
	c.tally.asked(&f.answer, f.err, c.now().Sub(began))
	f.abandoned = f.err != nil && ctx.Err() != nil
	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(f.done)
	e := c.entries[q]
	e.flight = nil
	switch {
	case f.err == nil:
		e.answer, e.known = f.answer, true
	case e.known && c.now().Before(e.answer.expires.Add(staleFor)):
		f.answer, f.err = e.answer, nil
	default:
		delete(c.entries, q)
	}
}

// contained makes an error of a panic: those who wait for the flight must not wait for ever.
func (c *cache) contained(ctx context.Context, q question) (a answer, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			a, err = answer{}, fmt.Errorf("look up %s: panic: %v", q.name, cause)
		}
	}()
	return c.next.lookup(ctx, q)
}

// evict makes room for one more: of a few entries the one that ends first goes.
func (c *cache) evict() {
	if len(c.entries) < c.size {
		return
	}
	var victim question
	var first *entry
	scanned := 0
	for q, e := range c.entries {
		if e.flight == nil && (first == nil || e.answer.expires.Before(first.answer.expires)) {
			victim, first = q, e
		}
		if scanned++; scanned >= evictionScan && first != nil {
			break
		}
	}
	if first != nil {
		delete(c.entries, victim)
	}
}
