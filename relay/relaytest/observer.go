package relaytest

import (
	"sync"

	"postrider/relay"
)

// Observer records all that it is told. The zero value is ready for use.
type Observer struct {
	mu        sync.Mutex
	accepted  []relay.Accepted
	refused   []relay.Refused
	attempted []relay.Attempted
	notified  []relay.Notified
	held      []relay.Held
	gated     []relay.Gated
	faults    []relay.Fault
}

var _ relay.Observer = (*Observer)(nil)

// Accepted records the event.
func (o *Observer) Accepted(e relay.Accepted) { record(o, &o.accepted, e) }

// Refused records the event.
func (o *Observer) Refused(e relay.Refused) { record(o, &o.refused, e) }

// Attempted records the event.
func (o *Observer) Attempted(e relay.Attempted) { record(o, &o.attempted, e) }

// Notified records the event.
func (o *Observer) Notified(e relay.Notified) { record(o, &o.notified, e) }

// Held records the event.
func (o *Observer) Held(e relay.Held) { record(o, &o.held, e) }

// Gated records the event.
func (o *Observer) Gated(e relay.Gated) { record(o, &o.gated, e) }

// Faulted records the event.
func (o *Observer) Faulted(e relay.Fault) { record(o, &o.faults, e) }

// AllAccepted returns the events so far.
func (o *Observer) AllAccepted() []relay.Accepted { return recorded(o, &o.accepted) }

// AllRefused returns the events so far.
func (o *Observer) AllRefused() []relay.Refused { return recorded(o, &o.refused) }

// AllAttempted returns the events so far.
func (o *Observer) AllAttempted() []relay.Attempted { return recorded(o, &o.attempted) }

// AllNotified returns the events so far.
func (o *Observer) AllNotified() []relay.Notified { return recorded(o, &o.notified) }

// AllHeld returns the events so far.
func (o *Observer) AllHeld() []relay.Held { return recorded(o, &o.held) }

// AllGated returns the events so far.
func (o *Observer) AllGated() []relay.Gated { return recorded(o, &o.gated) }

// AllFaults returns the events so far.
func (o *Observer) AllFaults() []relay.Fault { return recorded(o, &o.faults) }

func record[E any](o *Observer, list *[]E, e E) {
	o.mu.Lock()
	defer o.mu.Unlock()
	*list = append(*list, e)
}

func recorded[E any](o *Observer, list *[]E) []E {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]E(nil), *list...)
}
