package outbound

import (
	"context"
	"slices"
	"strings"

	"postrider/relay"
)

// The replies that are ours without asking the peer, because it has said enough.
var (
	// replyTooLarge is for a message over the SIZE that the peer advertises (RFC 1870
	// section 6.2).
	replyTooLarge = relay.Reply{Code: 552, Enhanced: relay.EnhancedCode{5, 3, 4}}
	// replyNeedsUTF8 is for a message that the peer could only corrupt (RFC 6531 section 3.5).
	replyNeedsUTF8 = relay.Reply{Code: 553, Enhanced: relay.EnhancedCode{5, 6, 7}}
)

// delivery is one Deliver: what is to be sent, and what has become of it so far.
type delivery struct {
	c *conn
	// given is the transfer as it was given, and t as the route sends it.
	given, t relay.Transfer
	// next asks for what comes after this one; nil when it has been asked.
	next func() (relay.Transfer, bool)
	a    relay.Attempt
	// fault is the reply for whom no better one is known.
	fault relay.Reply
	// committed says that the end of the message has been sent and its reply is not there yet: the
	// peer may take it, or have taken it.
	committed bool
	// refused are the recipients that another host may take; visited those that one did.
	refused, visited []int
	// stranded are those about whom the host said nothing before the session was over, and ended
	// says that the end of a message was sent to it.
	stranded []int
	ended    bool
	// lacking says that this host lacks what the message needs, so that all the others are asked.
	lacking bool
}

func newDelivery(c *conn, t relay.Transfer) *delivery {
	given := t
	t.Message = c.route.Header.apply(t.Message)
	return &delivery{c: c, given: given, t: t, a: relay.Attempt{
		Replies: make([]relay.Reply, len(t.Recipients)),
		Host:    c.remote.name, Addr: c.remote.address(), TLS: c.tls,
		DSN: c.features.dsn,
	}}
}

// Deliver implements relay.Conn. A recipient whose Reply has no code yet is undecided; at the
// end those get the reply of what went wrong.
func (c *conn) Deliver(ctx context.Context, t relay.Transfer, next func() (relay.Transfer, bool)) relay.Attempt {
	begun, used := c.t.o.Now(), c.messages
	c.transcribeFor(t)
	d, x := c.expected(t)
	d.next = next
	c.reportDelivery(t)
	if reply := c.unable(d.t); reply != nil {
		d.fault = *reply
		if d.lacking = lacksExtension(reply); d.lacking {
			d.refuse(everyone(d.t)...)
		}
	} else {
		stop := c.until(ctx)
		d.run(x)
		if !stop() {
			c.abandon()
			d.stopped(ctx.Err())
		}
		c.used = true
	}
	for i := range d.a.Replies {
		if d.a.Replies[i].Code == 0 {
			d.a.Replies[i] = d.fault
			if d.a.Setback {
				d.stranded = append(d.stranded, i)
			}
		}
	}
	d.class()
	before := d.complaint()
	if d.mayVisit() {
		d.elsewhere(ctx)
	}
	d.around(ctx)
	d.class()
	d.tell(before, used)
	c.rested = c.t.o.Now()
	d.a.Transmit = c.rested.Sub(begun)
	return d.a
}

// complaint is the first reply that refuses somebody; zero when there is none.
func (d *delivery) complaint() relay.Reply {
	for _, r := range d.a.Replies {
		if !r.Positive() {
			return r
		}
	}
	return relay.Reply{}
}

// expected takes up the transaction whose commands are in flight already, if there is one. One
// for another message leaves nothing but to end the session.
func (c *conn) expected(t relay.Transfer) (*delivery, *transaction) {
	x := c.ahead
	c.ahead = nil
	if x == nil {
		return newDelivery(c, t), nil
	}
	if x.given.Message != t.Message {
		c.abandon()
		return newDelivery(c, t), nil
	}
	return x.delivery, x
}

// unable says why a message cannot be sent over this connection at all; nil when it can.
func (c *conn) unable(t relay.Transfer) *relay.Reply {
	if limit := c.features.size; limit > 0 && t.Message.Size > limit {
		return saying(replyTooLarge, "Message of %d bytes exceeds the %d that %s takes", t.Message.Size, limit, c.remote)
	}
	if !c.features.smtpUTF8 && needsUTF8(t.Message, t.Recipients) {
		return saying(replyNeedsUTF8, "%s does not offer SMTPUTF8, which the message needs", c.remote)
	}
	if c.chain != nil && !c.isFor(t) {
		return saying(replyTLSFault, "%s proves by DANE that it is for %s, and for no other domain", c.remote, c.remote.domain)
	}
	return c.insecure(t.Message)
}

// lacksExtension says that it is this host which lacks what the message needs: SMTPUTF8, or
// REQUIRETLS (RFC 8689 section 5) with a certificate that proves its name. Another may have it
// (conformance T06).
func lacksExtension(reply *relay.Reply) bool {
	switch reply.Enhanced {
	case replyNeedsUTF8.Enhanced, replyNoRequireTLS.Enhanced, replyTLSFault.Enhanced:
		return true
	}
	return false
}

// run goes through the recipients, in as many transactions as the peer's limits ask for,
// beginning with x if it is in flight. Each transaction decides about one recipient at least,
// so there is an end.
func (d *delivery) run(x *transaction) {
	rest := d.c.grouped(d.t, everyone(d.t))
	for first := true; len(rest) > 0; first = false {
		if d.c.closed || d.c.unfit && (!first || x != nil) {
			d.over(first)
			return
		}
		if most := d.c.features.maxMessages; !first && most > 0 && d.c.messages >= most {
			d.fault = *saying(replyLost, "%s takes no more messages in this session", d.c.remote)
			return
		}
		if x == nil {
			rest = d.c.grouped(d.t, rest)
			x = newTransaction(d, rest[:d.c.groupOf(d.t, rest)])
			x.reused = d.c.used && first
		}
		n := len(x.group)
		x.last = n == len(rest)
		rest = append(x.run(), rest[n:]...)
		x = nil
	}
}

// everyone lists the transfer's recipients.
func everyone(t relay.Transfer) []int {
	all := make([]int, len(t.Recipients))
	for i := range all {
		all[i] = i
	}
	return all
}

// groupOf is how many of the recipients one transaction carries, from the first on.
func (c *conn) groupOf(t relay.Transfer, list []int) int {
	limit := c.t.o.RecipientsPerTransaction
	if m := c.features.maxRecipients; m > 0 {
		limit = min(limit, m)
	}
	limit = min(limit, len(list))
	if c.features.maxDomains == 0 {
		return limit
	}
	domains := make(map[string]bool)
	for n, i := range list[:limit] {
		domains[t.Recipients[i].Address.Domain] = true
		if len(domains) > c.features.maxDomains {
			return n
		}
	}
	return limit
}

// grouped puts recipients of a domain together where the peer limits the domains of a transaction.
func (c *conn) grouped(t relay.Transfer, list []int) []int {
	if c.features.maxDomains > 0 {
		slices.SortStableFunc(list, func(a, b int) int {
			return strings.Compare(t.Recipients[a].Address.Domain, t.Recipients[b].Address.Domain)
		})
	}
	return list
}

// over answers for recipients whose session ended before their transaction was asked about.
// A whole message that was in flight behind the one where the session broke may have been
// taken, unless the peer had said that it closes.
func (d *delivery) over(first bool) {
	d.a.Ambiguous = d.committed && !d.c.dismissed
	d.a.Untried = first && !d.a.Ambiguous
	d.c.abandon()
	if d.fault.Code == 0 {
		d.fault = *saying(replyLost, "The session with %s is over", d.c.remote)
	}
}

// fail ends the session: the undecided get the reply.
func (d *delivery) fail(reply *relay.Reply) {
	d.fault = *reply
	d.c.abandon()
}

// stopped corrects the outcome when it was us who ended the connection: nobody is to blame for
// that, and where the peer has decided nothing there was no attempt.
func (d *delivery) stopped(cause error) {
	decided := false
	for _, r := range d.a.Replies {
		decided = decided || r.Code != 0
	}
	d.a.Setback = false
	d.a.Ambiguous = d.a.Ambiguous || d.committed
	d.a.Untried = !decided && !d.a.Ambiguous
	d.fault = *saying(replyStopping, "Stopped while delivering to %s", d.c.remote).Because(cause)
}
