package relay

import (
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"
)

// meter keeps the rates of something that has a name, such as a route or a sender's flow.
// Several bins, flows or pools can have it in common. It is guarded by the Scheduler's mu.
type meter struct {
	name    string
	buckets []bucket
	// users counts who holds on to it.
	users int
	// dirty says that the state has changed since it was remembered.
	dirty bool
}

// amount is how much of each unit.
type amount [units]int64

// What the next message, and the next connection, wants of every rate. A message pays for all its
// recipients and bytes when it goes: those after it wait the longer for them.
var (
	oneMessage    = amount{Messages: 1, Recipients: 1, Bytes: 1}
	oneConnection = amount{Connections: 1}
)

func newMeter(name string, rates []Rate) *meter {
	m := &meter{name: name}
	for _, r := range rates {
		if r.Count > 0 && r.Per > 0 {
			m.buckets = append(m.buckets, bucket{rate: r})
		}
	}
	return m
}

func (m *meter) take(a amount, now time.Time) {
	m.dirty = true
	for i := range m.buckets {
		if n := a[m.buckets[i].rate.Of]; n > 0 {
			m.buckets[i].take(n, now)
		}
		if b := &m.buckets[i]; b.rate.Of == Recipients && a[Recipients] > 0 {
			b.learn(a[Recipients])
		}
	}
}

func (m *meter) refund(a amount) {
	for i := range m.buckets {
		m.buckets[i].refund(a[m.buckets[i].rate.Of])
	}
}

func (m *meter) idle(now time.Time) bool {
	for i := range m.buckets {
		if !m.buckets[i].idle(now) {
			return false
		}
	}
	return true
}

// state is what of the meter outlives a restart: a line for each rate with the time at which
// its bucket will be full.
func (m *meter) state() []byte {
	var text []byte
	for i := range m.buckets {
		text = fmt.Appendf(text, "%s %d\n", m.buckets[i].rate, m.buckets[i].full.UnixMilli())
	}
	return text
}

// resume takes up the state of an earlier process, as far as its rates are still kept.
func (m *meter) resume(state []byte, now time.Time) {
	for rate, full := range parseState(state) {
		for i := range m.buckets {
			if m.buckets[i].rate == rate {
				m.buckets[i].resume(full, now)
			}
		}
	}
}

// over says that a state of an earlier process is of no account any more.
func over(state []byte, now time.Time) bool {
	for rate, full := range parseState(state) {
		if full.After(now) && full.Before(now.Add(2*rate.Per)) {
			return false
		}
	}
	return true
}

// parseState reads what state gives. Lines that it cannot read are left out.
func parseState(state []byte) iter.Seq2[Rate, time.Time] {
	return func(yield func(Rate, time.Time) bool) {
		for line := range strings.Lines(string(state)) {
			line = strings.TrimSuffix(line, "\n")
			at := max(strings.LastIndexByte(line, ' '), 0)
			full, err := strconv.ParseInt(strings.TrimSpace(line[at:]), 10, 64)
			rate, badRate := ParseRate(line[:at])
			if err == nil && badRate == nil && !yield(rate, time.UnixMilli(full)) {
				return
			}
		}
	}
}

// meters are those that bound the same thing.
type meters []*meter

// holdUp is the bucket to wait for before what is wanted can be had, nil where it can be had now. It is one at
// which others wait, or the last to have something; a pass is for going on past the others. Opening asks whether to open a
// connection for it: not where that is done for all there is. Who has a pass may, it will be there then.
func (ms meters) holdUp(want amount, now time.Time, pass, opening bool) (by *bucket) {
	if opening && pass {
		return nil
	}
	var at time.Time
	for _, m := range ms {
		for i := range m.buckets {
			b := &m.buckets[i]
			if want[b.rate.Of] == 0 {
				continue
			}
			switch t := b.ready(); {
			case !pass && (!b.line.empty() || opening && b.opening >= b.has(now)):
				return b
			case t.After(now) && t.After(at):
				at, by = t, b
			}
		}
	}
	return by
}

func (ms meters) take(a amount, now time.Time) {
	for _, m := range ms {
		m.take(a, now)
	}
}

func (ms meters) refund(a amount) {
	for _, m := range ms {
		m.refund(a)
	}
}

// learn takes note of how large a message was, in bytes.
func (ms meters) learn(size int64) {
	for _, m := range ms {
		for i := range m.buckets {
			if b := &m.buckets[i]; b.rate.Of == Bytes {
				b.learn(size)
			}
		}
	}
}

// tight says whether connections are being opened for all that there is, so many of them by who asks.
func (ms meters) tight(want amount, asking int, now time.Time) bool {
	for _, m := range ms {
		for i := range m.buckets {
			if b := &m.buckets[i]; want[b.rate.Of] > 0 && b.opening+int64(asking) >= b.has(now) {
				return true
			}
		}
	}
	return false
}
