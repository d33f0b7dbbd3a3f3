package policy

import (
	"errors"
	"fmt"

	"postrider/relay"
)

// route is a Route, ready to be asked.
type route struct {
	name string
	when *condition
	mx   bool
	ways []Way
	// tlsOptional says that there is a twin of each way.
	tlsOptional bool
}

func compileRoutes(options []Route) ([]route, error) {
	routes := make([]route, len(options))
	var faults []error
	for i, o := range options {
		when, fault := compile(o.When, rcpt)
		if fault != nil {
			fault.Path = fmt.Sprintf("routes[%d].when", i)
			faults = append(faults, fault)
		}
		routes[i] = route{name: o.Name, when: when, mx: o.MX, ways: o.Ways, tlsOptional: o.TLSOptional}
	}
	return routes, errors.Join(faults...)
}

// errNoRoute says that no route wants a recipient.
var errNoRoute = errors.New("no route matches")

// Route finds the first route that matches. Mail in the queue that no route matches any
// more waits for one, so the reply is temporary; it has ReasonRoute.
func (p *Policy) Route(m *relay.Message, r relay.Recipient) (relay.Routing, *relay.Reply) {
	to := recipientAddress(r.Address, p.hostname)
	ask := question{policy: p, fill: func(f *facts) {
		f.setSession(&m.Origin)
		f.Sender.set(senderAddress(m.Envelope.Sender))
		f.Recipient.set(to)
	}}
	defer ask.done()
	for i := range p.routes {
		route := &p.routes[i]
		matches, err := ask.matches(route.when)
		if err != nil {
			return relay.Routing{}, relay.LocalError(fmt.Errorf("route %s: %w", route.name, err))
		}
		if matches && route.mx {
			return relay.Routing{To: relay.Destination{Route: route.take(&m.Envelope, r), Domain: to.Domain}}, nil
		}
		if matches {
			return relay.Routing{To: relay.Destination{Route: route.take(&m.Envelope, r)}}, nil
		}
	}
	reply := relay.NewReply(451, relay.EnhancedCode{4, 4, 4}, "No route for this recipient")
	return relay.Routing{}, reply.For(relay.ReasonRoute).Because(errNoRoute)
}

// take picks the route's way for a message.
func (r *route) take(e *relay.Envelope, to relay.Recipient) string {
	name := r.way(e, to)
	if r.tlsOptional && e.TLSOptional {
		name = relay.TLSOptionalRoute(name)
	}
	return name
}
