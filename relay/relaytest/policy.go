package relaytest

import (
	"context"

	"postrider/relay"
)

// Policy is a relay.Policy made of functions; those that are nil say yes. Without RouteTo
// every recipient goes to the destination "test" with its domain.
type Policy struct {
	OnConnect func(*relay.Origin) *relay.Reply
	OnMail    func(*relay.Origin, *relay.Envelope) *relay.Reply
	OnRcpt    func(*relay.Origin, *relay.Envelope, relay.Recipient) *relay.Reply
	OnData    func(*relay.Message) *relay.Reply
	RouteTo   func(*relay.Origin, *relay.Envelope, relay.Recipient) (relay.Destination, *relay.Reply)
}

var _ relay.Policy = (*Policy)(nil)

// Connect asks OnConnect.
func (p *Policy) Connect(_ context.Context, o *relay.Origin) *relay.Reply {
	if p.OnConnect == nil {
		return nil
	}
	return p.OnConnect(o)
}

// Mail asks OnMail.
func (p *Policy) Mail(_ context.Context, o *relay.Origin, e *relay.Envelope) *relay.Reply {
	if p.OnMail == nil {
		return nil
	}
	return p.OnMail(o, e)
}

// Rcpt asks OnRcpt.
func (p *Policy) Rcpt(_ context.Context, o *relay.Origin, e *relay.Envelope, r relay.Recipient) *relay.Reply {
	if p.OnRcpt == nil {
		return nil
	}
	return p.OnRcpt(o, e, r)
}

// Data asks OnData.
func (p *Policy) Data(_ context.Context, m *relay.Message) *relay.Reply {
	if p.OnData == nil {
		return nil
	}
	return p.OnData(m)
}

// Route asks RouteTo.
func (p *Policy) Route(o *relay.Origin, e *relay.Envelope, r relay.Recipient) (relay.Destination, *relay.Reply) {
	if p.RouteTo == nil {
		return relay.Destination{Route: "test", Domain: r.Address.Domain}, nil
	}
	return p.RouteTo(o, e, r)
}
