package relay

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Action is what an operator wants done to deliveries.
type Action uint8

// The actions.
const (
	// ActionHold keeps deliveries until they are released. What is held does not expire.
	ActionHold Action = iota + 1
	// ActionRelease lets held deliveries go, at once, whatever held them.
	ActionRelease
	// ActionRetry makes deliveries due now, and has closed gates on their way probed.
	ActionRetry
	// ActionDelete removes deliveries. Nobody is told.
	ActionDelete
	// ActionBounce returns deliveries to their senders.
	ActionBounce
	// ActionReroute sends deliveries by another route, or, where none is named, as the rules say now.
	ActionReroute
)

var actionWords = [...]string{"", "hold", "release", "retry", "delete", "bounce", "reroute"}

// String gives the action's word.
func (a Action) String() string { return actionWords[a] }

// MarshalText gives the action's word.
func (a Action) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads the action's word.
func (a *Action) UnmarshalText(text []byte) error {
	i := slices.Index(actionWords[:], string(text))
	if i < 1 {
		return fmt.Errorf("%q is not an action: want one of %s", text, strings.Join(actionWords[1:], ", "))
	}
	*a = Action(i)
	return nil
}

// Order is what an operator wants done, to which deliveries, and why.
type Order struct {
	Action Action
	Select Selector
	// All must be set where Select means every delivery, so that nobody means that by mistake.
	All bool
	// Author and Reason say who wants it and why; both are needed.
	Author, Reason string
	// Route is the name of the route that ActionReroute takes.
	Route string
	// Text is what ActionBounce tells senders; "" for a text that says little.
	Text string
	// DryRun counts and changes nothing.
	DryRun bool
	// From is where an order that was broken off goes on: Tally.Next of its last report.
	From ID
	// Patience is how long to wait for the end of attempts that are under way; 0 means
	// DefaultPatience, less than 0 not at all.
	Patience time.Duration
}

// DefaultPatience is how long an order waits for attempts under way.
const DefaultPatience = 10 * time.Second

// ErrOrder says that an order makes no sense.
var ErrOrder = errors.New("order refused")

func (o *Order) check() error {
	switch {
	case o.Action < ActionHold || o.Action > ActionReroute:
		return fmt.Errorf("%w: no such action", ErrOrder)
	case o.Author == "" || o.Reason == "":
		return fmt.Errorf("%w: an author and a reason are needed", ErrOrder)
	case o.Select.Everything() && !o.All:
		return fmt.Errorf("%w: it would be done to all mail, and that has to be said", ErrOrder)
	case o.Route != "" && o.Action != ActionReroute:
		return fmt.Errorf("%w: a route is for %s only", ErrOrder, ActionReroute)
	}
	return nil
}

// Tally counts what an order has come to.
type Tally struct {
	// Seen are the deliveries looked at, Matched those that the selector means, and Changed
	// those that something was done to.
	Seen, Matched, Changed int
	// Unchanged were as the order wants them before, or have left the queue meanwhile.
	Unchanged int
	// Busy are those whose attempt did not end within the order's patience.
	Busy int
	// Failed could not be changed, for the reason that was reported as a fault.
	Failed int
	// Next is the message from which the order goes on if it is broken off here.
	Next ID
}
