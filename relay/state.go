package relay

import (
	"fmt"
	"slices"
	"strings"
)

// State is how a delivery in the queue stands.
type State uint8

// The states of deliveries, the first that applies.
const (
	// StateHeld is kept by a rule or an operator.
	StateHeld State = iota + 1
	// StateActive is being attempted.
	StateActive
	// StatePaused waits for an operator to resume its destination.
	StatePaused
	// StateBlocked waits for its destination, which cannot be reached.
	StateBlocked
	// StateDeferred waits for its own next attempt.
	StateDeferred
	// StateDue waits for its turn.
	StateDue
)

var stateWords = [...]string{"", "held", "active", "paused", "blocked", "deferred", "due"}

// String gives the state's word.
func (s State) String() string { return stateWords[s] }

// MarshalText gives the state's word.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the state's word.
func (s *State) UnmarshalText(text []byte) error {
	i := slices.Index(stateWords[:], string(text))
	if i < 1 {
		return fmt.Errorf("%q is not a state: want one of %s", text, strings.Join(stateWords[1:], ", "))
	}
	*s = State(i)
	return nil
}

// StateOf says how a delivery from the spool stands.
func (s *Scheduler) StateOf(d *Delivery) State {
	now := s.o.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	_, active := s.underway[d.DeliveryID]
	b := s.bins[d.To]
	switch {
	case d.Held != "":
		return StateHeld
	case active:
		return StateActive
	case s.pauses.of(d.To) != nil:
		return StatePaused
	case b != nil && b.status().Closed:
		return StateBlocked
	case d.Due.After(now):
		return StateDeferred
	}
	return StateDue
}
