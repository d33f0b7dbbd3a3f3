package relay

import (
	"math"
	"time"
)

// Retry says when deferred mail is tried again and when it is given up.
type Retry struct {
	// First is the longest wait before the second attempt.
	First time.Duration
	// Factor is what the wait grows by with each attempt.
	Factor float64
	// Max bounds the wait.
	Max time.Duration
	// MaxAge is the age, from arrival, at which mail is returned to its sender.
	MaxAge time.Duration
	// Classes have the schedules of replies of a class that has one of its own, in place of
	// First, Factor and Max.
	Classes ClassBackoffs
	// WarnAfter is the age at which the sender is told of the delay; 0 means never.
	WarnAfter time.Duration
}

// DefaultRetry is the schedule where none is configured.
func DefaultRetry() Retry {
	return Retry{
		First: time.Minute, Factor: 2, Max: 4 * time.Hour, Classes: DefaultClassBackoffs(),
		MaxAge: 5 * 24 * time.Hour, WarnAfter: 4 * time.Hour,
	}
}

// wait is the time until the next attempt after the given number of attempts and a reply of
// the class. It is exponential with full jitter: chance in [0,1) picks from the whole interval
// up to the bound, so that mail deferred together does not come back together. A tenth of First
// is the least where the class has no schedule of its own.
func (r *Retry) wait(class Class, attempts int, chance float64) time.Duration {
	return r.Backoff(class).wait(attempts, chance)
}

// Backoff is the schedule of replies of the class.
func (r *Retry) Backoff(class Class) Backoff {
	if b := r.Classes[class]; b != (Backoff{}) {
		return b
	}
	return Backoff{Least: r.First / 10, First: r.First, Factor: r.Factor, Max: r.Max}
}

// expired says whether a delivery of mail of that arrival is to be given up.
func (r *Retry) expired(d *Delivery, received, now time.Time) bool {
	return d.age(received, now) >= r.MaxAge
}

// end is when a delivery of mail of that arrival is given up.
func (r *Retry) end(d *Delivery, received time.Time) time.Time {
	return received.Add(r.MaxAge + d.Suspended)
}

// late says whether the sender of mail of that arrival should have been told of the delay.
func (r *Retry) late(received, now time.Time) bool {
	return r.WarnAfter > 0 && now.Sub(received) >= r.WarnAfter
}

// jitter is full-jitter exponential backoff for the n-th wait, n from 1.
func jitter(first, most time.Duration, factor float64, n int, chance float64) time.Duration {
	return Backoff{Least: first / 10, First: first, Factor: factor, Max: most}.wait(n, chance)
}

// wait is the n-th wait, n from 1.
func (b Backoff) wait(n int, chance float64) time.Duration {
	bound := math.Min(float64(b.First)*math.Pow(b.Factor, float64(max(n, 1)-1)), float64(b.Max))
	least := math.Min(float64(b.Least), bound)
	return time.Duration(least + chance*(bound-least))
}
