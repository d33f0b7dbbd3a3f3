package relay

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"
)

// Clock is a wall clock without jumps. When the machine's clock is set, forwards or back, mail must
// neither expire all at once nor come due all at once, nor wait for a day that has been before. So
// the Clock goes on as if nothing had happened, a little faster or slower until it agrees with the
// machine's clock again. It is safe for use by several goroutines.
type Clock struct {
	wall    func() time.Time
	elapsed func() time.Duration

	mu sync.Mutex
	// began and last are what wall said first and last.
	began, last time.Time
	// step is how much the wall clock has been set since, in all.
	step time.Duration
	// lead is how far the Clock is before the wall clock, or behind it where negative, and
	// slewed is when that was made smaller.
	lead, slewed time.Duration
}

const (
	// clockStep is the least that counts as a jump.
	clockStep = time.Second
	// clockSlew is the part, one in so many, by which the Clock goes faster or slower.
	clockSlew = 8
	// clockMemory is how far the wall clock may have been set back between two runs for the Clock
	// to stay with what it was. Beyond that, it was wrong before.
	clockMemory = 30 * 24 * time.Hour
)

// clockUnset is a time before which a clock has not been set yet: that it is set is no jump.
var clockUnset = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// NewClock makes a Clock of a wall clock, such as time.Now, and of one that nobody can set: the time
// since some moment.
func NewClock(wall func() time.Time, elapsed func() time.Duration) *Clock {
	w := wall().Round(0)
	e := elapsed()
	return &Clock{wall: wall, elapsed: elapsed, began: w.Add(-e), last: w, slewed: e}
}

// Now is the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	w, e := c.wall().Round(0), c.elapsed()
	if jump := w.Sub(c.began) - e - c.step; jump.Abs() >= clockStep {
		c.step += jump
		if c.last.After(clockUnset) {
			c.lead -= jump
		}
	}
	c.last = w
	c.slew(e)
	return w.Add(c.lead)
}

// slew makes the lead smaller.
func (c *Clock) slew(now time.Duration) {
	by := (now - c.slewed) / clockSlew
	c.slewed += by * clockSlew
	if c.lead < 0 {
		c.lead = min(c.lead+by, 0)
	} else {
		c.lead = max(c.lead-by, 0)
	}
}

// Lead is how far the Clock is before the wall clock, or behind it where negative.
func (c *Clock) Lead() time.Duration {
	c.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lead
}

// Resume goes on from where the Clock of an earlier process was at least, as MarkOf tells. It says
// whether the wall clock had been set back so far that it was wrong before: then what was
// deferred may wait for a time that is far off, until it is told to be tried.
func (c *Clock) Resume(mark time.Time) (wrong bool) {
	back := mark.Sub(c.Now())
	if back > clockMemory {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if back >= clockStep {
		c.lead += back
	}
	return false
}

const (
	// noteClock is the key of the note that has the time.
	noteClock = "clock"
	// markInterval is how often the time is noted.
	markInterval = time.Minute
	// absence is how long a relay must not have run for its mail to be given a last chance: what
	// became too old meanwhile is tried for so long before any of it is given up.
	absence = time.Hour
)

// MarkOf is when the Scheduler that left the notes ran last; zero when that is not known.
func MarkOf(ctx context.Context, notes Notes) (time.Time, error) {
	for note, err := range notes.Recall(ctx, noteClock) {
		if err != nil {
			return time.Time{}, fmt.Errorf("recall the time: %w", err)
		}
		if note.Key == noteClock {
			ms, err := strconv.ParseInt(string(note.Value), 10, 64)
			if err != nil {
				return time.Time{}, fmt.Errorf("recall the time: %w", err)
			}
			return time.UnixMilli(ms), nil
		}
	}
	return time.Time{}, nil
}

// marks notes the time now and then, and knows whether mail is given a last chance. It is guarded by
// the Scheduler's mu.
type marks struct {
	noted time.Time
	// lenient is until when nothing is given up for its age.
	lenient time.Time
}

// resume takes up the mark of an earlier process.
func (k *marks) resume(mark, now time.Time) {
	if !mark.IsZero() && now.Sub(mark) >= absence {
		k.lenient = now.Add(absence)
	}
}

// note is the note of the time, if it is time for one.
func (k *marks) note(now time.Time) []Note {
	if now.Sub(k.noted).Abs() < markInterval {
		return nil
	}
	k.noted = now
	return []Note{{Key: noteClock, Value: strconv.AppendInt(nil, now.UnixMilli(), 10)}}
}

// expires says whether a delivery of mail of that arrival is to be given up now.
func (s *Scheduler) expires(d *Delivery, received, now time.Time) bool {
	return s.live().Retry.expired(d, received, now) && !s.isLenient(now)
}

func (s *Scheduler) isLenient(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Before(s.marks.lenient)
}
