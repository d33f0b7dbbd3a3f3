package policy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postrider/relay"
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
	// Rules in their order: see Rule.
	Rules []Rule
	// Staging, where there is one, keeps mail away from the world.
	Staging *Staging

	// Dir is the folder that the names of lists (inFile) are relative to; "" for the process's.
	Dir string
	// Meters count for the function rate and the action limit. They outlive the Policy where the
	// next one is given the same. Default: new ones.
	Meters *Meters
	// Resolver finds the names of clients for client.name. Default net.DefaultResolver.
	Resolver Resolver
	// Queue says how a destination stands, for the function queue. Default: all are empty.
	Queue func(relay.Destination) relay.BinStatus
	// Fault is told of lists that cannot be read again. Default: nobody.
	Fault func(relay.Fault)
	// Now is the clock, in the zone of the names time.hour and so on. Default time.Now.
	Now func() time.Time
	// Unmatched is how many rules that do not match are kept in the trace of a message.
	// Default 50.
	Unmatched int
}

// Resolver is what is used of a net.Resolver.
type Resolver interface {
	LookupAddr(ctx context.Context, addr string) ([]string, error)
	LookupHost(ctx context.Context, name string) ([]string, error)
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
	// Discard throws the mail away.
	Discard bool
	// Hold keeps the mail until an operator releases it.
	Hold bool
	// Through says that a route with Hold leads nowhere itself: what is released takes the next one
	// that matches.
	Through bool
	// Wanted says that more than When leads to the route, such as the fallback of another one.
	Wanted bool
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

// faults gathers what is wrong.
type faults []error

func (f *faults) add(err error, path string, args ...any) {
	if err == nil {
		return
	}
	path = fmt.Sprintf(path, args...)
	if at, ok := errors.AsType[*FieldError](err); ok {
		*f = append(*f, &FieldError{Path: path, Line: at.Line, Column: at.Column, Err: at.Err})
		return
	}
	*f = append(*f, &FieldError{Path: path, Err: err})
}

// check finds the faults that need no expression to be compiled.
func (o *Options) check() error {
	var faults faults
	for listener, networks := range o.Relay {
		for i, n := range networks {
			if !n.IsValid() {
				faults.add(errors.New("not a network"), "relay[%s][%d]", listener, i)
			}
		}
	}
	if len(o.Routes) == 0 {
		faults.add(errors.New("at least one route is needed"), "routes")
	}
	names := make(map[string]bool)
	for i, r := range o.Routes {
		faults.add(checkName(r.Name, names), "routes[%d].name", i)
		if strings.Contains(r.Name, "/") {
			faults.add(errors.New("a route's name has no slash"), "routes[%d].name", i)
		}
		if r.MX && o.Hostname == "" {
			faults.add(errors.New("needed by a route that delivers by MX"), "hostname")
		}
	}
	names = make(map[string]bool)
	for i, r := range o.Rules {
		faults.add(checkName(r.Name, names), "rules[%d].name", i)
	}
	o.checkNamed(&faults)
	return errors.Join(faults...)
}

// checkNamed finds rules that lead nowhere.
func (o *Options) checkNamed(faults *faults) {
	for i, r := range o.Rules {
		known := slices.ContainsFunc(o.Routes, func(route Route) bool { return route.Name == r.Route })
		if r.Route != "" && !known {
			faults.add(fmt.Errorf("there is no route %q", r.Route), "rules[%d].route", i)
		}
	}
}

// checkReach finds rules and routes that nothing can come to. It is for options that are right
// otherwise: one that cannot be read hides others.
func (o *Options) checkReach() error {
	var faults faults
	wanted := make(map[string]bool)
	final := make(map[string]string)
	for i, r := range o.Rules {
		wanted[r.Route] = true
		if name, ended := final[r.At]; ended {
			faults.add(fmt.Errorf("is never reached: the rule %q above ends the stage", name), "rules[%d]", i)
		} else if r.When == "" && r.final() && !r.Dry {
			final[r.At] = r.Name
		}
	}
	above := ""
	for i, r := range o.Routes {
		// A spare route, which operators send mail to by its name, says that it takes nothing itself.
		spare := strings.TrimSpace(r.When) == "false"
		if above != "" && !r.Wanted && !wanted[r.Name] && !spare {
			faults.add(fmt.Errorf("is never reached: the route %q above takes everything; a spare one has when: \"false\"", above), "routes[%d]", i)
		}
		if above == "" && r.When == "" && !r.Through {
			above = r.Name
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
