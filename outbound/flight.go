package outbound

import (
	"fmt"
	"io"
	"time"

	"postrider/relay"
)

// fly sends what goes out before the first reply, unless it followed the message before. It
// reports failures itself and says whether there is a reply to wait for.
func (x *transaction) fly() bool {
	if !x.pipelined || x.launched && !x.whole {
		return true
	}
	b := x.borrow()
	defer x.giveBack(b)
	if !x.launched {
		if err := x.launch(b); err != nil {
			x.a.Local, x.fault = err, *relay.LocalError(err)
			return false
		}
	}
	// Should it be "too many recipients" for some, the rest comes next, and nobody else.
	if x.whole && len(x.group) == 1 {
		x.follow(b)
	}
	// With more behind the end of the message, the whole may be out: its replies count.
	if err := b.w.Flush(); err != nil && x.c.ahead == nil {
		x.committed = false // the peer has not had the end
		x.dead("MAIL", err)
		return false
	}
	return true
}

// launch writes the flight: the commands up to DATA, which must be the last (RFC 2920 section
// 3.1). With BDAT a small message is part of it, and a larger one waits until it is known
// that somebody wants it. An error is one of reading the message; nothing is written then.
func (x *transaction) launch(b *buffer) error {
	var content []byte
	m := x.t.Message
	// Of a whole message nobody knows whether a peer that is gone took it; one that has been
	// silent since its last reply is there.
	x.whole = x.chunked && m.Size <= int64(len(b.copy)) && x.sendable()
	if x.whole {
		content = b.copy[:m.Size]
		if err := x.readWhole(content); err != nil {
			return err
		}
	}
	if x.cleared {
		x.say(b, "RSET")
	}
	x.say(b, x.commands.mail())
	for _, i := range x.group {
		x.say(b, x.commands.rcpt(x.t.Recipients[i]))
	}
	switch {
	case x.whole:
		x.say(b, fmt.Sprintf("BDAT %d LAST", m.Size))
		b.w.Write(content)
		x.contained(content)
		x.committed = true
	case !x.chunked:
		x.say(b, "DATA")
	}
	x.launched = true
	return nil
}

// longRTT is how long a round trip is at least that is worth saving by sending a whole message
// behind another: that one cannot be given back while the peer keeps silent.
const longRTT = 5 * time.Millisecond

// sendable says whether the message may be part of the flight.
func (x *transaction) sendable() bool {
	if x.hurried {
		return x.c.rtt >= longRTT
	}
	return !x.reused || x.c.quiet()
}

// readWhole reads the message, which must be as long as the buffer.
func (x *transaction) readWhole(p []byte) error {
	if _, err := x.t.Body.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("go to the start of the body: %w", err)
	}
	n := copy(p, x.t.Message.Header)
	read, err := io.ReadFull(x.t.Body, p[n:])
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return fmt.Errorf("read the body: %d bytes where the record says %d: %w", n+read, len(p), relay.ErrCorrupt)
	case err != nil:
		return fmt.Errorf("read the body: %w", err)
	}
	return nil
}

// follow writes the flight of the next transaction behind the end of this one (RFC 2920
// section 3.1), if there is one and it can be spared: nothing must be left to do for this
// message that would have to come first. After BDAT, whose success is not known yet, RSET
// keeps the two apart whatever becomes of this one (RFC 3030 section 2). A peer that waits for
// the next message must not wait for what another host says about this one. A message that
// cannot be read is left to meet its failure in its own turn.
func (x *transaction) follow(b *buffer) {
	c := x.c
	spare := x.next != nil && x.pipelined && x.last && len(x.postponed) == 0
	if !spare || x.mayVisit() || len(x.refused) > 0 && c.watched() || c.unfit || c.messages+1 >= c.mostMessages() || c.t.noAhead.holds(c.remote.String()) {
		return
	}
	next := x.next
	x.next = nil
	t, ok := next()
	if !ok {
		return
	}
	d := newDelivery(c, t)
	if c.unable(d.t) != nil {
		return
	}
	all := c.grouped(t, everyone(t))
	y := newTransaction(d, all[:c.groupOf(t, all)])
	y.reused, y.hurried, y.cleared = true, true, x.chunked
	if y.launch(b) == nil {
		c.ahead = y
	}
}
