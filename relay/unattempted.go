package relay

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// What becomes of deliveries of which an attempt could not begin, or did not end by itself.

// panicked contains a panic over a delivery: that one is deferred, all else goes on. Nobody
// is asked anything about the message, so that nothing can panic again.
func (s *Scheduler) panicked(d Delivery, cause any) {
	err := fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
	s.o.Observer.Faulted(Fault{Doing: "attempt delivery", Message: d.Message, Err: err})
	next := d
	next.Claimed, next.message = false, nil
	next.Attempts++
	next.ranked()
	next.Last = replyLocalError
	next.Due = s.o.Now().Add(s.live().Retry.wait(ClassNone, next.Attempts, s.o.Chance()))
	s.finish(Settlement{Delivery: d, Then: []Delivery{next}})
}

// unreadable handles a message that the spool does not yield: what is corrupt is set aside,
// else the delivery is tried again later.
func (s *Scheduler) unreadable(d Delivery, m *Message, err error) {
	s.o.Observer.Faulted(Fault{Doing: "read the message", Message: d.Message, Err: err})
	if errors.Is(err, ErrCorrupt) && s.quarantine(d, err) {
		return
	}
	if m == nil {
		s.giveUpFor(d, spoolPause)
		return
	}
	s.settle(d, m, failAll(d, *LocalError(err)), 0)
}

// quarantine sets the whole message aside.
func (s *Scheduler) quarantine(d Delivery, cause error) bool {
	if err := s.o.Spool.Quarantine(s.settles, d.Message, cause.Error()); err != nil {
		s.o.Observer.Faulted(Fault{Doing: "quarantine the message", Message: d.Message, Err: err})
		return false
	}
	s.o.Spool.Release(d)
	s.landed(d)
	return true
}

// failAll is an attempt that met the same reply for every recipient without a session.
func failAll(d Delivery, reply Reply) Attempt {
	a := Attempt{Replies: make([]Reply, len(d.Recipients))}
	for i := range a.Replies {
		a.Replies[i] = reply
	}
	return a
}
