package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Options says what a Policy decides.
type Options struct {
	// Hostname is our own name. It stands in for the domain of the bare recipient
	// "postmaster" (RFC 5321 section 4.1.1.3).
	Hostname string
	// Relay has, for each listener by name, the networks whose clients may relay. A
	// listener that is not in it lets only authenticated users relay. A client on a Unix
	// socket counts as a loopback address.
	Relay map[string][]netip.Prefix
	// Routes in their order: the first that matches takes the mail. At least one.
	Routes []Route
	// Rules in their order: at each stage the first that matches decides.
	Rules []Rule
}

// Route is a way out for mail.
type Route struct {
	// Name is unique, is part of the names of bins on disk, and has no slash.
	Name string
	// When is the condition; "" is always true. It knows what a rule at rcpt knows.
	When string
	// MX says that the route delivers to the MX hosts of each recipient's domain, so that
	// each domain is a destination of its own.
	MX bool
	// TLSOptional says that the route has a twin for messages that are to be delivered whatever TLS
	// their recipients' domains demand (relay.TLSOptionalRoute).
	TLSOptional bool
	// Ways, where there are any, are routes that share the mail of this one, such as one for each
	// of several source addresses. A message takes one of them and keeps to it.
	Ways []Way
}

// Way is one of a route's.
type Way struct {
	// Name is that of the destination's route, in place of the Route's own.
	Name string
	// Weight is its share of the messages, relative to the others'.
	Weight int
}

// Rule is a condition and one action: one of Accept, Reject and Defer.
type Rule struct {
	// Name is unique and is what logs call the rule.
	Name string
	// At is the stage that asks the rule: connect, mail, rcpt or data.
	At string
	// When is the condition; "" is always true.
	When string
	// Accept ends the stage: rules further down are not asked. Relay permission is needed
	// all the same.
	Accept bool
	// Reject is a permanent reply, such as "552 5.3.4 too large, use the file server".
	Reject string
	// Defer is a temporary reply, such as "450 4.7.1 not at night".
	Defer string
}

// FieldError is a fault in one field of Options. New joins all it finds.
type FieldError struct {
	// Path names the field the way a configuration file does, such as "routes[2].when".
	Path string
	// Line and Column are the place within the expression, from 1 and in characters; 0
	// when the whole field is meant.
	Line, Column int
	Err          error
}

// Error gives the path, the place and what is wrong, on one line.
func (e *FieldError) Error() string {
	if e.Column == 0 {
		return fmt.Sprintf("%s: %s", e.Path, e.Err)
	}
	return fmt.Sprintf("%s: %d:%d: %s", e.Path, e.Line, e.Column, e.Err)
}

func (e *FieldError) Unwrap() error { return e.Err }

// check finds the faults that need no expression to be compiled.
func (o *Options) check() error {
	var faults []error
	fault := func(err error, path string, args ...any) {
		faults = append(faults, &FieldError{Path: fmt.Sprintf(path, args...), Err: err})
	}
	for listener, networks := range o.Relay {
		for i, n := range networks {
			if !n.IsValid() {
				fault(errors.New("not a network"), "relay[%s][%d]", listener, i)
			}
		}
	}
	if len(o.Routes) == 0 {
		fault(errors.New("at least one route is needed"), "routes")
	}
	names := make(map[string]bool)
	for i, r := range o.Routes {
		if err := checkName(r.Name, names); err != nil {
			fault(err, "routes[%d].name", i)
		}
		if strings.Contains(r.Name, "/") {
			fault(errors.New("a route's name has no slash"), "routes[%d].name", i)
		}
		if r.MX && o.Hostname == "" {
			fault(errors.New("needed by a route that delivers by MX"), "hostname")
		}
	}
	clear(names)
	for i, r := range o.Rules {
		if err := checkName(r.Name, names); err != nil {
			fault(err, "rules[%d].name", i)
		}
	}
	return errors.Join(faults...)
}

func checkName(name string, taken map[string]bool) error {
	switch {
	case name == "":
		return errors.New("a name is needed")
	case taken[name]:
		return fmt.Errorf("the name %q is taken by another one above", name)
	}
	taken[name] = true
	return nil
}
