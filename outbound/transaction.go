package outbound

import (
	"errors"
	"fmt"
	"time"

	"postrider/relay"
)

// transaction is one MAIL, its RCPTs and the message (RFC 5321 section 3.3), by DATA or, where
// the peer offers it, by BDAT (RFC 3030).
type transaction struct {
	*delivery
	// group are the recipients, as indices into the transfer's; last says that nobody is left
	// for another transaction.
	group []int
	last  bool
	// reused says that the connection was used before, so that it may have died at rest.
	reused bool
	// hurried says that the flight went out behind the message before.
	hurried bool
	// pipelined says that all commands go out in one flight (RFC 2920), and launched that
	// they have.
	pipelined, launched bool
	// chunked says that the message goes by BDAT, and whole that it is part of the flight.
	chunked, whole bool
	// cleared says that the transaction begins with RSET.
	cleared bool

	commands commands
	// accepted are the recipients that the peer took; postponed those that it asks to be sent
	// in another transaction, with its replies.
	accepted, postponed []int
	postponedReplies    []relay.Reply
}

func newTransaction(d *delivery, group []int) *transaction {
	c := d.c
	host := c.remote.String()
	return &transaction{
		delivery:  d,
		group:     group,
		cleared:   c.dirty,
		pipelined: c.features.pipelining && !c.t.noPipelining.holds(host),
		chunked:   c.features.chunking && !c.t.noChunking.holds(host) && !c.route.LMTP,
		commands: commands{
			features: c.features, message: d.t.Message, encrypted: c.tls != "",
			utf8: c.features.smtpUTF8 && needsUTF8(d.t.Message, d.t.Recipients),
		},
	}
}

// run goes through the transaction and returns the recipients that need another one.
func (x *transaction) run() (again []int) {
	if x.fly() && x.reset() && x.mail() && x.rcpt() && x.content() && x.c.ahead == nil {
		return x.postponed
	}
	x.giveUpPostponed()
	return nil
}

// ask gets the reply to a command, which it sends first unless it is in flight already.
func (x *transaction) ask(line string, deadline time.Time) (answerLines, error) {
	if !x.pipelined {
		x.c.transcript.Command(relay.Us, line)
		if err := x.c.writeBy([]byte(line+"\r\n"), deadline); err != nil {
			return answerLines{}, err
		}
	}
	return x.c.readBy(deadline)
}

func (x *transaction) within(d time.Duration) time.Time { return x.c.t.o.Now().Add(d) }

// reset clears what an unfinished transaction left behind.
func (x *transaction) reset() bool {
	if !x.cleared {
		return true
	}
	a, err := x.ask("RSET", x.within(x.c.t.o.Timeouts.Mail))
	if err == nil && a.code/100 != 2 {
		err = fmt.Errorf("RSET was answered %s", a.reply())
	}
	if err != nil {
		x.dead("RSET", err)
		return false
	}
	x.c.dirty = false
	return true
}

// mail begins the transaction. A refusal is for all recipients.
func (x *transaction) mail() bool {
	line := ""
	if !x.pipelined {
		line = x.commands.mail()
	}
	a, err := x.ask(line, x.within(x.c.t.o.Timeouts.Mail))
	switch {
	case err != nil:
		x.dead("MAIL", err)
		return false
	// Between transactions a server may close with 421 at any time, and 503 here says only
	// that the two ends disagree about what went before: neither is about this message.
	case x.reused && (a.code == 421 || a.code == 503):
		x.a.Untried, x.c.dismissed, x.committed = true, a.code == 421, false
		x.fail(reply421(a))
		return false
	case a.code == 421:
		x.closing(a)
		return false
	case a.code/100 == 3:
		x.dead("MAIL", unexpected(a))
		return false
	case a.code/100 != 2:
		x.decide(x.group, a.reply())
		if a.code/100 == 4 {
			x.refuse(x.group...)
		}
		x.drain()
		return false
	}
	x.c.dirty = true
	return true
}

// drain reads the replies to what was in flight behind a refused MAIL. They mean nothing,
// but a 354 wants an end (conformance T02), and a BDAT that failed a RSET (RFC 3030 section 2).
func (x *transaction) drain() {
	if !x.pipelined {
		return
	}
	behind := len(x.group)
	if x.whole || !x.chunked {
		behind++
	}
	x.c.dirty, x.committed = x.whole, false
	deadline := x.within(x.c.t.o.Timeouts.Rcpt)
	var a answerLines
	for range behind {
		var err error
		if a, err = x.c.readBy(deadline); err != nil || a.code == 421 {
			x.c.dismissed = err == nil
			x.broken()
			return
		}
	}
	if a.code == 354 && !x.chunked {
		x.loneDot()
	}
}

// broken ends a session that broke or was closed when everything had been decided.
func (x *transaction) broken() {
	x.a.Setback = true
	x.c.abandon()
}

// rcpt collects the replies about the recipients, strictly in order. In flight together,
// they have one deadline together.
func (x *transaction) rcpt() bool {
	deadline := x.within(x.c.t.o.Timeouts.Rcpt)
	for _, i := range x.group {
		line := ""
		if !x.pipelined {
			line, deadline = x.commands.rcpt(x.t.Recipients[i]), x.within(x.c.t.o.Timeouts.Rcpt)
		}
		a, err := x.ask(line, deadline)
		switch {
		case err != nil:
			x.lost("RCPT", err)
			return false
		case a.code == 421:
			x.closing(a)
			return false
		case a.code/100 == 3:
			x.lost("RCPT", unexpected(a))
			return false
		case a.code/100 == 2:
			x.accepted = append(x.accepted, i)
		// "Too many recipients", in the code of RFC 5321 section 4.5.3.1.10 or the old one.
		case (a.code == 452 || a.code == 552) && len(x.accepted) > 0:
			x.postponed = append(x.postponed, i)
			x.postponedReplies = append(x.postponedReplies, a.reply())
		default:
			x.a.Replies[i] = a.reply()
			if a.code/100 == 4 {
				x.refuse(i)
			}
		}
	}
	return true
}

// data asks for leave to send the message.
func (x *transaction) data() bool {
	if !x.pipelined && len(x.accepted) == 0 {
		return false
	}
	a, err := x.ask("DATA", x.within(x.c.t.o.Timeouts.Data))
	switch {
	case err != nil:
		x.lost("DATA", err)
		return false
	case a.code == 421:
		x.closing(a)
		return false
	case a.code == 354 && len(x.accepted) == 0:
		x.loneDot() // nobody is left to deliver to, whatever the answer (conformance T03)
		return false
	case a.code == 354:
		return true
	case len(x.accepted) == 0:
		return false
	case a.code/100 < 4:
		x.lost("DATA", unexpected(a))
		return false
	}
	x.decide(x.accepted, a.reply())
	if a.code/100 == 4 {
		x.refuse(x.accepted...)
	}
	return false
}

// loneDot ends a DATA that must not deliver anything. Its reply is of no interest.
func (x *transaction) loneDot() {
	if x.c.route.LMTP { // without recipients a dot has no reply
		x.broken()
		return
	}
	x.c.dirty = true
	a, err := x.c.command(".", x.c.t.o.Timeouts.Dot)
	if err != nil || a.code == 421 {
		x.c.dismissed = err == nil
		x.broken()
	}
}

// decide gives recipients their final reply.
func (x *transaction) decide(recipients []int, r relay.Reply) {
	for _, i := range recipients {
		x.a.Replies[i] = r
	}
}

// giveUpPostponed defers those that were to have another transaction when this one failed.
// The 552 of RFC 821 means 452 (RFC 5321 section 4.5.3.1.10).
func (x *transaction) giveUpPostponed() {
	for n, i := range x.postponed {
		r := x.postponedReplies[n]
		if r.Code == 552 {
			r.Code, r.Enhanced = 452, relay.EnhancedCode{4, 5, 3}
		}
		x.a.Replies[i] = r
	}
}

// dead ends a session that broke before the peer had a word for the message. On a reused
// connection that is no attempt (conformance T09), unless the whole message was on its way: the
// peer may have taken it.
func (x *transaction) dead(doing string, err error) {
	stale := x.reused && !x.committed
	x.lost(doing, err)
	if stale {
		x.a.Untried, x.a.Setback, x.c.dismissed = true, false, true
	}
}

// lost ends a session that broke. After garbage the peer may have had too much at once. One
// that has had the end of the message may have taken it, and is not to blame for the network.
func (x *transaction) lost(doing string, err error) {
	host := x.c.remote.String()
	if x.pipelined && errors.Is(err, errGarbage) {
		x.c.t.noPipelining.remember(host)
	}
	if x.c.ahead != nil || x.hurried {
		x.c.t.noAhead.remember(host)
	}
	x.a.Ambiguous = x.committed
	x.a.Setback = !x.committed
	x.fail(x.c.lost(doing, err))
}

// closing ends a session that the peer has ended with 421.
func (x *transaction) closing(a answerLines) {
	x.a.Setback, x.c.dismissed, x.committed = true, true, false
	x.fail(reply421(a))
}

// reply421 is the peer's 421, or for a 503 that stands in for it, a temporary form.
func reply421(a answerLines) *relay.Reply {
	r := a.reply()
	if r.Code != 421 {
		r = relay.Reply{Code: 451, Enhanced: relay.EnhancedCode{4, 5, 0}, Text: r.String()}
	}
	return &r
}

// unexpected makes an error of a reply that has no place where it was given.
func unexpected(a answerLines) error { return fmt.Errorf("%w there: %s", errGarbage, a.reply()) }
