package relay

import (
	"cmp"
	"errors"
	"fmt"
	"sync"
	"time"
)

// The defaults of BreakerOptions.
const (
	DefaultBreakerFailures = 5
	DefaultBreakerFirst    = time.Second
	DefaultBreakerMost     = 30 * time.Second
)

// BreakerOptions say when a service is left alone.
type BreakerOptions struct {
	// Name is what the service is called in logs and metrics.
	Name string
	// Failures is how many failures in a row it takes. Default 5.
	Failures int
	// First and Most bound how long a service is left alone, which doubles with each probe that
	// fails. Default 1 to 30 seconds.
	First, Most time.Duration
	// Changed is told when the service is left alone, with the cause, and with nil when it is asked
	// again. It must not ask the Breaker anything.
	Changed func(name string, cause error)
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Breaker keeps mail from waiting, message after message, for the whole timeout of a service that
// does not answer. After some failures in a row the service is left alone for a time: who would ask it is told why at
// once. Then one asks for all, and either everybody does again or the time is longer. It is safe for
// use by several goroutines; a nil one lets everybody ask.
type Breaker struct {
	o BreakerOptions

	mu       sync.Mutex
	failures int
	// cause is why the service is left alone; nil when it is not.
	cause error
	until time.Time
	rest  time.Duration
	// probing says that one is asking for all.
	probing bool
	skipped uint64
}

// ErrLeftAlone is the error of who did not get to ask. That the service is left alone has been told.
var ErrLeftAlone = errors.New("left alone for now")

// NewBreaker fills in the defaults.
func NewBreaker(o BreakerOptions) *Breaker {
	o.Failures = cmp.Or(o.Failures, DefaultBreakerFailures)
	o.First, o.Most = cmp.Or(o.First, DefaultBreakerFirst), cmp.Or(o.Most, DefaultBreakerMost)
	if o.Changed == nil {
		o.Changed = func(string, error) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Breaker{o: o}
}

// Do asks, unless the service is left alone. What ask returns as down is a failure of the service
// itself; an error without it, such as an answer that makes no sense, or a client that has gone, says
// nothing of the service: a message must not be able to have it left alone.
func (b *Breaker) Do(ask func() (down bool, err error)) error {
	if b == nil {
		_, err := ask()
		return err
	}
	probe, err := b.enter()
	if err != nil {
		return err
	}
	down, err := false, errPanicked
	defer func() { b.leave(probe, down, err) }()
	down, err = ask()
	return err
}

// errPanicked is how an asking ended that did not return.
var errPanicked = errors.New("the asking panicked")

// enter lets one ask who may. Probe says that it asks for all.
func (b *Breaker) enter() (probe bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.cause == nil:
		return false, nil
	case b.probing || b.o.Now().Before(b.until):
		b.skipped++
		return false, fmt.Errorf("%w: %w", ErrLeftAlone, b.cause)
	}
	b.probing = true
	return true, nil
}

// leave notes how the asking went.
func (b *Breaker) leave(probe, down bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.probing = false // when it has shown nothing, the next one is the probe
	}
	switch {
	case err == nil:
		open := b.cause != nil
		b.failures, b.cause = 0, nil
		if open {
			b.o.Changed(b.o.Name, nil)
		}
	case down:
		b.fail(probe, err)
	}
}

// fail counts a failure. Those who began to ask before the service was left alone change nothing.
func (b *Breaker) fail(probe bool, err error) {
	b.failures++
	switch {
	case b.cause == nil && b.failures >= b.o.Failures:
		b.rest = b.o.First
		b.o.Changed(b.o.Name, err)
	case b.cause != nil && probe:
		b.rest = min(2*b.rest, b.o.Most)
	default:
		return
	}
	b.cause, b.until = err, b.o.Now().Add(b.rest)
}

// Figures show the state to metrics.
func (b *Breaker) Figures() []Figure {
	b.mu.Lock()
	defer b.mu.Unlock()
	open := 0.0
	if b.cause != nil {
		open = 1
	}
	labels := []string{"service", b.o.Name}
	return []Figure{
		{Name: "service_left_alone", Help: "Whether a service that does not answer is left alone, 1 or 0.", Labels: labels, Value: open},
		{Name: "service_skipped_total", Help: "Questions that a service was not asked because it is left alone.", Grows: true, Labels: labels, Value: float64(b.skipped)},
	}
}
