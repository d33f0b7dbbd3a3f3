package outbound

import (
	"context"
	"slices"

	"postrider/relay"
)

const (
	// maxVisits is how many other hosts one attempt opens a session with, at most.
	maxVisits = 1
	// maxFruitless is after how many visits in a row without a use a connection makes no more:
	// hosts that refuse the same mail for now all do, as with greylisting that they share.
	maxFruitless = 3
)

// refuse notes recipients whom this host cannot take, for now or for want of an extension.
// Another host may (conformance T04, T06, T12). A refusal of the message itself is as clear a word
// as any, but counts for hosts by MX only: they speak for one domain. Configured hosts can be
// providers that have nothing to do with each other, and one that has had the message may bill
// it, count it against a limit or send it all the same; it is tried again in its turn.
func (d *delivery) refuse(recipients ...int) { d.refused = append(d.refused, recipients...) }

// mayVisit says whether another host is to be asked about the refused.
func (d *delivery) mayVisit() bool {
	c := d.c
	return len(d.refused) > 0 && !c.visiting && (d.lacking || c.fruitless < maxFruitless) && len(c.others) > 0
}

// elsewhere asks other hosts of the site about recipients whom this one refused for now. A
// definite answer counts; otherwise the first host's stands. When this host took nobody and
// the other one did, the session with that one is the one to go on with.
func (d *delivery) elsewhere(ctx context.Context) {
	c := d.c
	visits := 0
	for _, to := range c.others {
		if !d.mayVisit() || visits == maxVisits && !d.lacking {
			return
		}
		o, reply := c.t.open(ctx, c.route, to, c.t.o.Timeouts.Doubtful)
		if o == nil {
			d.soften(*reply)
			if ctx.Err() != nil {
				return
			}
			continue
		}
		visits++
		if d.visit(ctx, o) && c.ahead == nil && !d.positive() {
			d.adopt(o)
		} else {
			o.Close()
		}
	}
	if visits == 0 {
		c.fruitless++
	}
}

// visit delivers to the refused over another session and says whether it took anybody.
func (d *delivery) visit(ctx context.Context, o *conn) (useful bool) {
	o.visiting = true
	t := relay.Transfer{Message: d.given.Message, Body: d.t.Body}
	for _, i := range d.refused {
		t.Recipients = append(t.Recipients, d.t.Recipients[i])
	}
	// What the other host is not fit for it says nothing about.
	if reply := o.unable(t); reply != nil {
		d.soften(*reply)
		d.c.fruitless++
		return false
	}
	list := d.refused
	d.refused = nil
	a := o.Deliver(ctx, t, nil)
	d.a.Ambiguous = d.a.Ambiguous || a.Ambiguous
	if d.a.Hosts == nil {
		d.a.Hosts = slices.Repeat([]string{d.c.remote.name}, len(d.a.Replies))
	}
	for n, i := range list {
		switch r := a.Replies[n]; {
		case r.Positive():
			useful = true
			d.visited = append(d.visited, i)
			fallthrough
		case r.Permanent() || a.Ambiguous:
			d.a.Replies[i], d.a.Hosts[i] = r, o.remote.name
		default:
			d.refused = append(d.refused, i)
			if d.a.Replies[i].Permanent() {
				d.a.Replies[i], d.a.Hosts[i] = r, o.remote.name
			}
		}
	}
	d.c.fruitless++
	if useful {
		d.c.fruitless = 0
		d.a.DSN = a.DSN && (d.a.DSN || !d.positive())
	}
	return useful
}

// soften makes what this host lacks temporary, as long as another one may have it: the reply says
// why that one could not be asked.
func (d *delivery) soften(r relay.Reply) {
	for _, i := range d.refused {
		if r.Temporary() && d.a.Replies[i].Permanent() {
			d.a.Replies[i] = r
		}
	}
}

// positive says whether the first host took any recipient itself.
func (d *delivery) positive() bool {
	n := 0
	for _, r := range d.a.Replies {
		if r.Positive() {
			n++
		}
	}
	return n > len(d.visited)
}

// adopt goes on with the other session in place of this one.
func (d *delivery) adopt(o *conn) {
	c := d.c
	former := *c
	o.set = c.set
	others := []remote{former.remote}
	for _, to := range former.others {
		if to != o.remote {
			others = append(others, to)
		}
	}
	*c = *o
	c.visiting, c.used, c.others = false, true, others
	d.a.Host, d.a.Addr, d.a.TLS = c.remote.name, c.remote.address(), c.tls
	former.Close()
}
