package relay

import "time"

// opening is a connection that is being opened for something from a bucket, which is booked for so long.
type opening struct {
	at     *bucket
	booked time.Duration
}

// opensFor counts the connection as one that is being opened for a message, where that is not what it was let on for.
func (c *courier) opensFor(w *wait, ms meters) {
	if w.pass {
		return
	}
	w.pass = true
	c.passes = append(c.passes, w)
	for _, m := range ms {
		for i := range m.buckets {
			if b := &m.buckets[i]; oneMessage[b.rate.Of] > 0 {
				b.opening++
				c.opens = append(c.opens, opening{b, b.cost(1)})
				b.book(b.cost(1), c.s.o.Now())
			}
		}
	}
}

// asked says that the courier has asked for what its connection was opened for, or never will.
func (c *courier) asked() {
	if !c.asks {
		return
	}
	c.asks = false
	c.pool.asking--
	for _, w := range c.passes {
		if w.lets == 0 && !w.in() {
			w.pass = false // it was for this connection
		}
	}
	c.passes = nil
	for _, o := range c.opens {
		o.at.opening--
		o.at.book(-o.booked, c.s.o.Now())
		c.s.limits.look(o.at)
	}
	c.opens = nil
}
