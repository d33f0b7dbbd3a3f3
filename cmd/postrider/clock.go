package main

import (
	"context"
	"errors"
	"time"

	"postrider/relay"
)

// errClockWasWrong says that due times in the spool may lie far off.
var errClockWasWrong = errors.New("the machine's clock is more than 30 days behind the time at which the relay ran last: what was deferred then may wait, see queue retry")

// newClock makes the clock by which mail is scheduled and grows old.
func newClock() *relay.Clock {
	began := time.Now()
	return relay.NewClock(time.Now, func() time.Duration { return time.Since(began) })
}

// resumeClock goes on from where the clock of the earlier process was.
func resumeClock(c *relay.Clock, notes relay.Notes, fault func(relay.Fault)) {
	mark, err := relay.MarkOf(context.Background(), notes)
	if err == nil && c.Resume(mark) {
		err = errClockWasWrong
	}
	if err != nil {
		fault(relay.Fault{Doing: "go on from the time of the last run", Err: err})
	}
}
