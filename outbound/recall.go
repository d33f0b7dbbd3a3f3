package outbound

import "time"

// recallAfter is how long a transaction whose commands are in flight waits for the reply to the
// message before it.
const recallAfter = 10 * time.Second

// recall waits for the reply to the message, and gives back what is to follow it when that takes
// long. Its commands are out and its message is not, so the peer cannot take it: what is left of the
// session is this one reply.
func (x *transaction) recall() {
	c := x.c
	y := c.ahead
	if y == nil || y.committed || y.t.Recall == nil || c.answers(min(recallAfter, c.t.o.Timeouts.Dot/2)) {
		return
	}
	c.ahead, c.recalled, c.unfit = nil, true, true
	c.t.noAhead.remember(c.remote.String())
	y.t.Recall()
}

// answers says whether the peer begins to answer, or ends the session, within the time.
func (c *conn) answers(within time.Duration) bool {
	if c.r.Buffered() > 0 {
		return true
	}
	if err := c.nc.SetReadDeadline(c.t.o.Now().Add(within)); err != nil {
		return true
	}
	_, err := c.r.Peek(1)
	return err == nil || !isTimeout(err)
}
