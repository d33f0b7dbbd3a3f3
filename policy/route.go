package policy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

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
	through     bool
	discard     bool
}

func (p *Policy) compileRoutes(options []Route) ([]route, error) {
	routes := make([]route, len(options))
	var faults faults
	for i, o := range options {
		when, err := p.compileTest(o.When, routing)
		faults.add(err, "routes[%d].when", i)
		routes[i] = route{name: o.Name, when: when, mx: o.MX, ways: o.Ways, tlsOptional: o.TLSOptional, discard: o.Discard, through: o.Through}
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
	route, held, f, err := p.find(m, r)
	defer f.done()
	if err != nil {
		return relay.Routing{}, relay.LocalError(err)
	}
	if route == nil {
		reply := relay.NewReply(451, relay.EnhancedCode{4, 4, 4}, "No route for this recipient")
		return relay.Routing{}, reply.For(relay.ReasonRoute).Because(errNoRoute)
	}
	to := relay.Routing{To: relay.Destination{Route: route.take(&m.Envelope, r)}, Held: held, Discard: route.discard}
	if route.mx {
		to.To.Domain = recipientAddress(r.Address, p.hostname).Domain
	}
	if p.staging != nil && to.Held == "" && !p.staging.allows(r.Address) {
		// Mail from before the switch was thrown, and notices of ours.
		to.Held, to.Discard = "staging", false
	}
	return to, nil
}

// find finds the route for the recipient, nil for none, and why its mail is held.
func (p *Policy) find(m *relay.Message, r relay.Recipient) (found *route, held string, f *facts, err error) {
	f = p.facts(context.Background(), &m.Origin, m)
	f.recipient = recipientAddress(r.Address, p.hostname).compared()
	named := slices.IndexFunc(p.routes, func(q route) bool { return r.Route != "" && q.name == r.Route })
	for i := max(named, 0); i < len(p.routes); i++ {
		q := &p.routes[i]
		matches := i == named || q.when.test(f)
		switch {
		case f.err != nil:
			return nil, "", f, fmt.Errorf("route %s: %w", q.name, f.err)
		case !matches, found != nil && q.discard:
		case !q.through:
			return q, cmp.Or(held, q.held), f, nil
		case found == nil:
			found, held = q, q.held // until what it leads to is found
		}
	}
	return found, held, f, nil
}

// take picks the route's way for a message.
func (r *route) take(e *relay.Envelope, to relay.Recipient) string {
	name := r.way(e, to)
	if r.tlsOptional && e.TLSOptional {
		name = relay.TLSOptionalRoute(name)
	}
	return name
}
