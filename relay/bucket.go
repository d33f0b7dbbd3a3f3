package relay

import (
	"math"
	"time"
)

// bucket keeps a Rate. It is a token bucket in the form of the generic cell rate algorithm: its
// whole state is one time. Its methods are functions of the time that they are given.
type bucket struct {
	rate Rate
	// full is when all that was taken will have been paid for.
	full time.Time
	// each is how much was taken at once lately, of what the rate counts.
	each int64
	// opening counts the connections that are being opened for something from it by who was not let on.
	opening int64
	// line is who waits until there is something; alarm is for when the first of them may go on.
	line  line
	alarm *alarm[*bucket]
}

// burst is how many may be had at once by who has had none for long: a tenth of the count. The
// rest comes evenly, so that a backlog leaves something for who comes late.
func (b *bucket) burst() int64 { return max(1, b.rate.Count/10) }

// interval is the time that pays for one, in nanoseconds. Together with a burst, no more than
// Count come in Per.
func (b *bucket) interval() float64 {
	return float64(b.rate.Per) / float64(b.rate.Count-b.burst()+1)
}

// after is the time that pays for n.
func (b *bucket) after(n int64) time.Duration { return time.Duration(float64(n) * b.interval()) }

// ready is when the next may be taken; it may lie in the past.
func (b *bucket) ready() time.Time { return b.full.Add(-b.after(b.burst() - 1)) }

// left is how many may be taken at once.
func (b *bucket) left(now time.Time) int64 {
	owed := math.Ceil(float64(max(b.full.Sub(now), 0)) / b.interval())
	return max(b.burst()-int64(owed), 0)
}

// take pays for n, which may be more than there are: then those to come wait the longer.
func (b *bucket) take(n int64, now time.Time) {
	b.full = later(b.full, now).Add(b.after(n))
	b.line.paced = b.line.paced.Add(b.after(n))
}

// learn takes note of how much was taken at once, the latest for an eighth.
func (b *bucket) learn(n int64) {
	if b.each == 0 {
		b.each = n
	}
	b.each += (n - b.each) / 8
}

// someBytes is how large a message is thought to be before there was one.
const someBytes = 4096

// typical is about how much one message or connection takes.
func (b *bucket) typical() int64 {
	if b.each == 0 && b.rate.Of == Bytes {
		return someBytes
	}
	return max(b.each, 1)
}

// cost is about the time that pays for n messages or connections.
func (b *bucket) cost(n int64) time.Duration { return b.after(n * b.typical()) }

// has is for about how many messages or connections there is something.
func (b *bucket) has(now time.Time) int64 {
	left := b.left(now)
	return min(left, (left+b.typical()-1)/b.typical())
}

// refund gives back what was taken for nothing.
func (b *bucket) refund(n int64) {
	b.full = b.full.Add(-b.after(n))
	b.line.paced = b.line.paced.Add(-b.after(n))
}

// idle says that the bucket is as if nothing had ever been taken.
func (b *bucket) idle(now time.Time) bool { return !b.full.After(now) }

// resume takes up the state of an earlier process. A clock that was set back since must not
// close the bucket for longer than its own time.
func (b *bucket) resume(full, now time.Time) {
	if wait := full.Sub(now); wait > 0 {
		b.full = later(b.full, now.Add(min(wait, b.rate.Per)))
	}
}
