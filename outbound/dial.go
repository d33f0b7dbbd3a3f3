package outbound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"postrider/relay"
)

// errPlainInstead says that TLS failed with a host where it may be done without, so that a
// new connection is worth opening.
var errPlainInstead = errors.New("TLS failed, going on without")

// errResumed says that a TLS session that was resumed proves nothing, so that one from its beginning
// is worth a new connection: what is resumed shows the certificate that the host had back then.
var errResumed = errors.New("the TLS session is that of an earlier certificate")

// Dial implements relay.Transport.
func (t *Transport) Dial(ctx context.Context, site *relay.Site) (relay.Conn, error) {
	set, ok := site.Hosts.(*hostSet)
	if !ok {
		return nil, relay.LocalError(fmt.Errorf("site %q is not of this transport", site.Key))
	}
	open := t.dialSet
	if len(set.ways) > 1 {
		open = t.dialWay
	}
	c, reply := open(ctx, site, set)
	if reply != nil {
		return nil, reply
	}
	c.set = set
	return c, nil
}

// dialSet opens a session with one of the hosts.
func (t *Transport) dialSet(ctx context.Context, site *relay.Site, set *hostSet) (*conn, *relay.Reply) {
	var last *relay.Reply
	var faults []error
	list := t.candidates(set)
	for i, to := range list {
		patience := t.o.Timeouts.Connect
		if len(list) > 1 && t.health.doubtful(set.route.place(to.addr)) {
			patience = t.o.Timeouts.Doubtful
		}
		c, reply := t.open(ctx, set.route, to, patience)
		if reply == nil {
			c.others = others(list[i:])
			return c, nil
		}
		last = reply
		faults = append(faults, reply)
		// Past ourselves there are only hosts that would send the mail back to us.
		if ctx.Err() != nil || reply.Enhanced == replySelf.Enhanced {
			break
		}
	}
	if last == nil {
		last = saying(replyNoAnswer, "No host of %s has an address", site.Key)
	}
	if len(faults) > 1 {
		last = last.Because(errors.Join(faults...))
	}
	return nil, last
}

// others are the addresses of hosts other than the first of the list.
func others(list []remote) []remote {
	var rest []remote
	for _, to := range list[1:] {
		if to.name != list[0].name || to.addr.Port() != list[0].addr.Port() {
			rest = append(rest, to)
		}
	}
	return rest
}

// open connects to one address and gets the session ready for mail. Patience bounds the connecting.
func (t *Transport) open(ctx context.Context, r *Route, to remote, patience time.Duration) (*conn, *relay.Reply) {
	c, err := t.attempt(ctx, r, to, patience)
	switch {
	case errors.Is(err, errPlainInstead):
		t.noTLS.remember(to.String())
		c, err = t.attempt(ctx, r, to, patience)
	case errors.Is(err, errResumed):
		c, err = t.attempt(ctx, r, to, patience)
	}
	if err == nil {
		t.health.pass(r.place(to.addr))
		return c, nil
	}
	var reply *relay.Reply
	if ctx.Err() != nil {
		// Where there is a way around, the whole of a session's opening has a deadline: who was
		// silent until then is not the one to begin with next time.
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			t.health.fail(r.place(to.addr))
		}
		return nil, saying(replyStopping, "Stopped while opening a session with %s", to).Because(err)
	}
	t.health.fail(r.place(to.addr))
	if !errors.As(err, &reply) {
		reply = saying(replyNoAnswer, "Cannot open a session with %s for now", to).Because(err)
	}
	return nil, reply
}

func (t *Transport) attempt(ctx context.Context, r *Route, to remote, patience time.Duration) (*conn, error) {
	x := t.transcribe(r, to.domain, to)
	nc, err := t.connect(ctx, r, to, patience)
	if err != nil {
		x.Note("connect: %v", err)
		x.End()
		return nil, saying(replyNoAnswer, "Connect to %s: %s", to, cause(err)).Because(err)
	}
	c := t.newConn(nc, r, to)
	c.transcript = x
	stop := c.until(ctx)
	begun := false
	defer func() {
		if !begun { // a panic leaves no connection behind
			stop()
			c.abandon()
		}
	}()
	err = c.begin(ctx)
	begun = true
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		x.Note("given up: %v", err)
		if ctx.Err() == nil && !errors.Is(err, errResumed) {
			c.reportFailure(err)
		}
		c.abandon()
		return nil, err
	}
	c.rested = t.o.Now()
	return c, nil
}

func (t *Transport) connect(ctx context.Context, r *Route, to remote, patience time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	dial, err := t.dialler(r)
	if err != nil {
		return nil, err
	}
	network, address := to.endpoint()
	return dial(ctx, network, address)
}

// smtps is the port where TLS comes before the greeting (RFC 8314 section 3.3).
const smtps = 465

// begin runs the session up to its first transaction.
func (c *conn) begin(ctx context.Context) error {
	if c.level = c.route.TLS; c.remote.isSocket() {
		c.level = TLSNone
	}
	if c.level == TLSDANE {
		if err := c.askDANE(ctx); err != nil {
			return err
		}
	}
	if c.remote.addr.Port() == smtps && c.level != TLSNone {
		if err := c.encrypt(ctx); err != nil {
			return err
		}
	}
	if err := c.greeting(); err != nil {
		return err
	}
	if err := c.hello(); err != nil {
		return err
	}
	if err := c.startTLS(ctx); err != nil {
		return err
	}
	return c.authenticate(ctx)
}

// greeting waits for the 220. Any other one is a reason to try the next host.
func (c *conn) greeting() error {
	a, err := c.read(c.t.o.Timeouts.Greeting)
	if err != nil {
		return c.lost("the greeting", err)
	}
	if a.code != 220 {
		return c.refused("the connection", a)
	}
	// A host that DNS led us to and that has our name is us (RFC 5321 section 6.3). A smart
	// host is the operator's word; a filter on the same machine often has the machine's name.
	name, _, _ := strings.Cut(strings.TrimSpace(a.lines[0]), " ")
	c.report.greeting = printable(name)
	if c.route.MX && (sameName(name, c.t.o.Hostname) || sameName(name, c.t.hostname(c.route))) {
		c.t.selves.remember(c.remote.addr)
		return saying(replySelf, "Mail loops: %s greets with our own name", c.remote)
	}
	return nil
}

// hello says EHLO, and HELO to a server that does not know it (RFC 5321 section 3.2).
func (c *conn) hello() error {
	if c.route.LMTP {
		return c.lhlo()
	}
	c.features = features{}
	asked := c.t.o.Now()
	a, err := c.command("EHLO "+c.t.hostname(c.route), c.t.o.Timeouts.Hello)
	if err != nil {
		return c.lost("EHLO", err)
	}
	c.rtt = c.t.o.Now().Sub(asked)
	if a.code/100 == 2 {
		c.features = parseFeatures(a.lines)
		return nil
	}
	if a.code == 421 {
		return c.refused("EHLO", a)
	}
	if a, err = c.command("HELO "+c.t.hostname(c.route), c.t.o.Timeouts.Hello); err != nil {
		return c.lost("HELO", err)
	}
	if a.code/100 != 2 {
		return c.refused("HELO", a)
	}
	return nil
}
