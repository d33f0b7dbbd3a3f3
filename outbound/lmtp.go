package outbound

import "time"

// endEach takes the replies to the end of a message by LMTP: one for each recipient that was
// accepted, in their order (RFC 2033 section 4.2). What has been said of one counts whatever
// becomes of the others.
func (x *transaction) endEach(deadline time.Time) bool {
	for _, i := range x.accepted {
		a, err := x.c.readBy(deadline)
		switch {
		case err != nil:
			x.lost("the end of the message, which it may have taken", err)
			return false
		case a.code == 421:
			x.closing(a)
			return false
		case a.code/100 == 3:
			x.lost("the end of the message", unexpected(a))
			return false
		}
		x.decide([]int{i}, a.reply())
	}
	x.committed, x.c.dirty = false, false
	x.c.messages++
	return true
}

// lhlo begins a session by LMTP (RFC 2033 section 4.1). There is nothing older to fall back to.
func (c *conn) lhlo() error {
	c.features = features{}
	a, err := c.command("LHLO "+c.t.hostname(c.route), c.t.o.Timeouts.Hello)
	if err != nil {
		return c.lost("LHLO", err)
	}
	if a.code/100 != 2 {
		return c.refused("LHLO", a)
	}
	c.features = parseFeatures(a.lines)
	return nil
}
