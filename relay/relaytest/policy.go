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
	// Rule, where there is one, is asked in place of those above: at "connect", where the
	// message has an origin only, "mail", "rcpt" and "data".
	Rule func(stage string, m *relay.Message, r relay.Recipient) relay.Ruling
	// Routing is asked in place of RouteTo.
	Routing func(*relay.Message, relay.Recipient) (relay.Routing, *relay.Reply)
}

var _ relay.Policy = (*Policy)(nil)

// Connect asks Rule or OnConnect.
func (p *Policy) Connect(_ context.Context, o *relay.Origin) relay.Ruling {
	switch {
	case p.Rule != nil:
		return p.Rule("connect", &relay.Message{Origin: *o}, relay.Recipient{})
	case p.OnConnect != nil:
		return relay.Refusal(p.OnConnect(o))
	}
	return relay.Ruling{}
}

// Mail asks Rule or OnMail.
func (p *Policy) Mail(_ context.Context, m *relay.Message) relay.Ruling {
	switch {
	case p.Rule != nil:
		return p.Rule("mail", m, relay.Recipient{})
	case p.OnMail != nil:
		return relay.Refusal(p.OnMail(&m.Origin, &m.Envelope))
	}
	return relay.Ruling{}
}

// Rcpt asks Rule or OnRcpt.
func (p *Policy) Rcpt(_ context.Context, m *relay.Message, r relay.Recipient) relay.Ruling {
	switch {
	case p.Rule != nil:
		return p.Rule("rcpt", m, r)
	case p.OnRcpt != nil:
		return relay.Refusal(p.OnRcpt(&m.Origin, &m.Envelope, r))
	}
	return relay.Ruling{}
}

// Data asks Rule or OnData.
func (p *Policy) Data(_ context.Context, m *relay.Message) relay.Ruling {
	switch {
	case p.Rule != nil:
		return p.Rule("data", m, relay.Recipient{})
	case p.OnData != nil:
		return relay.Refusal(p.OnData(m))
	}
	return relay.Ruling{}
}

// Route asks Routing or RouteTo.
func (p *Policy) Route(m *relay.Message, r relay.Recipient) (relay.Routing, *relay.Reply) {
	if p.Routing != nil {
		return p.Routing(m, r)
	}
	if p.RouteTo == nil {
		return relay.Routing{To: relay.Destination{Route: "test", Domain: r.Address.Domain}}, nil
	}
	to, reply := p.RouteTo(&m.Origin, &m.Envelope, r)
	return relay.Routing{To: to}, reply
}
