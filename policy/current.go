package policy

import (
	"context"
	"sync/atomic"

	"postrider/relay"
)

// Current is a relay.Policy that can be changed as a whole while mail is on its way: each
// question is put to the Policy of the moment. The zero Current is not usable.
type Current struct{ policy atomic.Pointer[Policy] }

// NewCurrent begins with a Policy.
func NewCurrent(p *Policy) *Current {
	c := new(Current)
	c.Swap(p)
	return c
}

// Swap puts another Policy in place. Options.Meters of the former one keep its rates counting.
func (c *Current) Swap(p *Policy) { c.policy.Store(p) }

// Connect asks the Policy of the moment, as the other methods do.
func (c *Current) Connect(ctx context.Context, o *relay.Origin) relay.Ruling {
	return c.policy.Load().Connect(ctx, o)
}

// Mail decides about the reverse-path.
func (c *Current) Mail(ctx context.Context, m *relay.Message) relay.Ruling {
	return c.policy.Load().Mail(ctx, m)
}

// Rcpt decides about a recipient.
func (c *Current) Rcpt(ctx context.Context, m *relay.Message, r relay.Recipient) relay.Ruling {
	return c.policy.Load().Rcpt(ctx, m, r)
}

// Data decides about a message.
func (c *Current) Data(ctx context.Context, m *relay.Message) relay.Ruling {
	return c.policy.Load().Data(ctx, m)
}

// Route says where mail goes.
func (c *Current) Route(m *relay.Message, r relay.Recipient) (relay.Routing, *relay.Reply) {
	return c.policy.Load().Route(m, r)
}
