package policy

import (
	"context"
	"errors"
	"fmt"

	"postrider/relay"
)

// route is a Route, ready to be asked.
type route struct {
	name string
	when *program
	mx   bool
	ways []Way
	// tlsOptional says that there is a twin of each way.
	tlsOptional bool
	held        string
	discard     bool
}

func (p *Policy) compileRoutes(options []Route) ([]route, error) {
	routes := make([]route, len(options))
	var faults faults
	for i, o := range options {
		when, err := p.compileTest(o.When, routing)
		faults.add(err, "routes[%d].when", i)
		routes[i] = route{name: o.Name, when: when, mx: o.MX, ways: o.Ways, tlsOptional: o.TLSOptional, discard: o.Discard}
		if o.Hold {
			routes[i].held = "route " + o.Name
		}
	}
	return routes, errors.Join(faults...)
}

// errNoRoute says that no route wants a recipient.
var errNoRoute = errors.New("no route matches")

// Route finds the route that a rule has named, or else the first that matches. Mail in the
// queue that no route matches any more waits for one, so the reply is temporary; it has
// ReasonRoute.
func (p *Policy) Route(m *relay.Message, r relay.Recipient) (relay.Routing, *relay.Reply) {
	route, f, err := p.find(m, r)
	defer f.done()
	if err != nil {
		return relay.Routing{}, relay.LocalError(err)
	}
	if route == nil {
		reply := relay.NewReply(451, relay.EnhancedCode{4, 4, 4}, "No route for this recipient")
		return relay.Routing{}, reply.For(relay.ReasonRoute).Because(errNoRoute)
	}
	to := relay.Routing{To: relay.Destination{Route: route.take(&m.Envelope, r)}, Held: route.held, Discard: route.discard}
	if route.mx {
		to.To.Domain = f.recipient.Domain
	}
	if p.staging != nil && to.Held == "" && !p.staging.allows(r.Address) {
		// Mail from before the switch was thrown, and notices of ours.
		to.Held, to.Discard = "staging", false
	}
	return to, nil
}

// find finds the route for the recipient; nil for none.
func (p *Policy) find(m *relay.Message, r relay.Recipient) (*route, *facts, error) {
	f := p.facts(context.Background(), &m.Origin, m)
	f.recipient = recipientAddress(r.Address, p.hostname)
	for i := range p.routes {
		if r.Route != "" && p.routes[i].name == r.Route {
			return &p.routes[i], f, nil
		}
	}
	for i := range p.routes {
		matches := p.routes[i].when.test(f)
		if f.err != nil {
			return nil, f, fmt.Errorf("route %s: %w", p.routes[i].name, f.err)
		}
		if matches {
			return &p.routes[i], f, nil
		}
	}
	return nil, f, nil
}

// take picks the route's way for a message.
func (r *route) take(e *relay.Envelope, to relay.Recipient) string {
	name := r.way(e, to)
	if r.tlsOptional && e.TLSOptional {
		name = relay.TLSOptionalRoute(name)
	}
	return name
}
