package relaytest

import (
	"context"
	"io"
	"sync"

	"postrider/relay"
)

// Transport is a scripted relay.Transport. Each destination is a site of its own unless
// SiteOf says otherwise; functions that are nil say that all goes well. It records what was
// delivered and how many connections there were.
type Transport struct {
	// SiteOf answers Resolve.
	SiteOf func(relay.Destination) (*relay.Site, error)
	// OnDial is asked before a connection is opened; it may block until ctx ends.
	OnDial func(ctx context.Context, site *relay.Site) error
	// OnDeliver gives the attempt its replies; it may block until ctx ends. The content that
	// arrived is header and body. A reply is needed for each recipient.
	OnDeliver func(ctx context.Context, site *relay.Site, t relay.Transfer, content []byte) relay.Attempt
	// Recalls makes connections give back what they were told comes next, before they deliver.
	Recalls bool
	// Forget keeps no record of what was delivered, for benchmarks.
	Forget bool

	mu        sync.Mutex
	delivered []Delivered
	open      map[string]int
	most      map[string]int
	dials     map[string]int
	ahead     int
}

// Delivered is a recipient that was given a positive reply.
type Delivered struct {
	Site      string
	Message   relay.ID
	Recipient relay.Address
	Content   string
}

var _ relay.Transport = (*Transport)(nil)

// OK is the attempt in which every recipient is delivered.
func OK(t relay.Transfer) relay.Attempt {
	return Answer(t, relay.Reply{Code: 250, Enhanced: relay.EnhancedCode{2, 0, 0}, Text: "Ok"})
}

// Answer is the attempt in which every recipient meets the same reply.
func Answer(t relay.Transfer, reply relay.Reply) relay.Attempt {
	a := relay.Attempt{Host: "peer.test", Addr: "192.0.2.1:25"}
	for range t.Recipients {
		a.Replies = append(a.Replies, reply)
	}
	return a
}

// Resolve returns the site of a destination.
func (t *Transport) Resolve(_ context.Context, to relay.Destination) (*relay.Site, error) {
	if t.SiteOf != nil {
		return t.SiteOf(to)
	}
	return &relay.Site{Key: to.String()}, nil
}

// Dial opens a connection.
func (t *Transport) Dial(ctx context.Context, site *relay.Site) (relay.Conn, error) {
	t.count(site.Key)
	if t.OnDial != nil {
		if err := t.OnDial(ctx, site); err != nil {
			return nil, err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil {
		t.open, t.most = make(map[string]int), make(map[string]int)
	}
	t.open[site.Key]++
	t.most[site.Key] = max(t.most[site.Key], t.open[site.Key])
	return &conn{t: t, site: site}, nil
}

func (t *Transport) count(site string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dials == nil {
		t.dials = make(map[string]int)
	}
	t.dials[site]++
}

func (t *Transport) note(change func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change()
}

// Ahead is how many transfers were known to a connection before their turn.
func (t *Transport) Ahead() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ahead
}

// AllDelivered returns what was delivered so far, in order.
func (t *Transport) AllDelivered() []Delivered {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Delivered(nil), t.delivered...)
}

// Dials is how many connections to the site were asked for.
func (t *Transport) Dials(site string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.dials[site]
}

// Open is how many connections to the site there are.
func (t *Transport) Open(site string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open[site]
}

// Most is how many connections to the site there were at once.
func (t *Transport) Most(site string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.most[site]
}

type conn struct {
	t    *Transport
	site *relay.Site
	// broken says that an attempt spoke against the connection.
	broken bool
	// recalled says that the connection is of no use behind what it carries.
	recalled bool
	// ahead is the message that the next Deliver must be for.
	ahead *relay.Message
}

// Deliver asks for what follows before the reply is known, as a client that pipelines does, and
// insists on being called with it. A connection that broke has not tried it.
func (c *conn) Deliver(ctx context.Context, tr relay.Transfer, next func() (relay.Transfer, bool)) relay.Attempt {
	if c.ahead != nil && c.ahead != tr.Message {
		panic("delivery of " + tr.Message.ID.String() + " where that of " + c.ahead.ID.String() + " was announced")
	}
	if c.ahead != nil && c.broken {
		a := Answer(tr, relay.Reply{Code: 451, Text: "connection lost"})
		a.Untried = true
		return a
	}
	c.ahead = nil
	if next != nil {
		if follows, ok := next(); ok {
			c.ahead = follows.Message
			c.t.note(func() { c.t.ahead++ })
			if c.t.Recalls {
				c.ahead, c.recalled = nil, true
				follows.Recall()
			}
		}
	}
	return c.deliver(ctx, tr)
}

func (c *conn) deliver(ctx context.Context, tr relay.Transfer) relay.Attempt {
	body, err := io.ReadAll(tr.Body)
	if err != nil {
		a := Answer(tr, *relay.LocalError(err))
		a.Local = err
		return a
	}
	content := append(append([]byte(nil), tr.Message.Header...), body...)
	a := OK(tr)
	if c.t.OnDeliver != nil {
		a = c.t.OnDeliver(ctx, c.site, tr, content)
	}
	c.broken = a.Setback || a.Untried || a.Ambiguous
	c.t.mu.Lock()
	defer c.t.mu.Unlock()
	for i, reply := range a.Replies {
		if reply.Positive() && !c.t.Forget {
			c.t.delivered = append(c.t.delivered, Delivered{
				Site: c.site.Key, Message: tr.Message.ID, Recipient: tr.Recipients[i].Address, Content: string(content),
			})
		}
	}
	return a
}

func (c *conn) Usable() bool { return !c.broken && !c.recalled }

func (c *conn) Remote() (host, addr string) { return "peer.test", "192.0.2.1:25" }

func (c *conn) Close() error {
	c.t.mu.Lock()
	defer c.t.mu.Unlock()
	c.t.open[c.site.Key]--
	return nil
}
