package inbound

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"postrider/inbound/auth"
	"postrider/relay"
)

// Options are what New needs. Zero values of Limits, Now and Grace mean their defaults.
type Options struct {
	// Hostname is our name in the greeting.
	Hostname  string
	Listeners []Listener
	// Bound are sockets that listen already, by the name of their listener: those that a service
	// manager keeps over a restart, so that no client is refused meanwhile. New takes them over.
	Bound map[string]net.Listener
	// Users may authenticate; its Fault and Now are the server's.
	Users    auth.Options
	Limits   Limits
	Receiver *relay.Receiver
	Observer relay.Observer
	// Transcripts takes down what is said where somebody wants to read it; nil for nobody.
	Transcripts relay.Transcriber
	Now         func() time.Time
	// Grace is how long a message that is being received may take to its end after Run's
	// context has ended. 30 s by default.
	Grace time.Duration
}

func (o Options) withDefaults() Options {
	o.Limits = o.Limits.or(defaultLimits())
	o.Grace = cmp.Or(o.Grace, 30*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Validate reports every fault of the configuration at once, unreadable certificates and
// users included. It binds nothing.
func (o Options) Validate() error {
	o = o.withDefaults()
	var faults []error
	if o.Hostname == "" {
		faults = append(faults, errors.New("no hostname"))
	}
	if len(o.Listeners) == 0 {
		faults = append(faults, errors.New("no listener"))
	}
	faults = append(faults, o.Limits.validate())
	names := map[string]bool{}
	for _, l := range o.Listeners {
		if names[l.Name] {
			faults = append(faults, fmt.Errorf("listener %q: the name is used twice", l.Name))
		}
		names[l.Name] = true
		if err := l.validate(); err != nil {
			faults = append(faults, fmt.Errorf("listener %q: %w", l.Name, err))
		}
	}
	if slices.ContainsFunc(o.Listeners, Listener.authenticates) {
		users, err := auth.New(o.Users)
		faults = append(faults, err, users.Close())
	}
	return errors.Join(faults...)
}
