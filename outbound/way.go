package outbound

import (
	"context"
	"errors"
	"slices"
	"time"

	"postrider/relay"
)

const (
	// waySession bounds the opening of a session where there is a way around, to its end, and
	// wayDoubtful where the way has failed before: mail waits for it.
	waySession  = time.Minute
	wayDoubtful = 15 * time.Second
)

// way is one of those that mail of a destination can take: its own route or a fallback.
type way struct {
	route *Route
	to    relay.Destination
}

// waysOf are the ways of a destination in order, its own first. There is one where the route has
// no fallback.
func (t *Transport) waysOf(r *Route, to relay.Destination) []way {
	ways := []way{{r, relay.Destination{Route: r.Name, Domain: to.Domain}}}
	for i := 0; i < len(ways); i++ {
		for _, name := range ways[i].route.Fallback {
			known := slices.ContainsFunc(ways, func(w way) bool { return w.route.Name == name })
			if other := t.routes[name]; other != nil && !known {
				ways = append(ways, way{other, relay.Destination{Route: name}})
			}
		}
	}
	return ways
}

// resolveWays finds the site of the way that is to be taken now. One whose hosts cannot be looked up
// is led around as one that cannot be reached.
func (t *Transport) resolveWays(ctx context.Context, ways []way) (*relay.Site, error) {
	var last error
	for range ways {
		at := t.detours.choose(ways)
		site, err := t.resolveWay(ctx, ways, at)
		var reply *relay.Reply
		if err == nil || errors.As(err, &reply) && reply.Permanent() || ctx.Err() != nil {
			return site, err
		}
		if last = err; reply != nil {
			t.detours.leave(ways[at].to, *reply, false)
		}
	}
	return nil, last
}

func (t *Transport) resolveWay(ctx context.Context, ways []way, at int) (*relay.Site, error) {
	w := ways[at]
	site, err := t.resolveRoute(ctx, w.route, w.to.Domain)
	if err != nil {
		return nil, err
	}
	set := site.Hosts.(*hostSet)
	set.ways, set.at = ways, at
	site.Moved = func() bool { return t.detours.choose(ways) != at }
	site.Around = len(ways) > 1
	return site, nil
}

// to is the way that the set is of.
func (s *hostSet) to() relay.Destination { return s.ways[s.at].to }

// dialWay opens a session where there is a way around, and says how that went.
func (t *Transport) dialWay(ctx context.Context, site *relay.Site, set *hostSet) (*conn, *relay.Reply) {
	to := set.to()
	if why, left := t.detours.left(to); left && why.Class == relay.ClassAuth {
		return nil, why // asking again and again would lock the account
	}
	within := waySession
	if t.detours.failed(to) {
		within = wayDoubtful
	}
	opening, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	c, reply := t.dialSet(opening, site, set)
	switch {
	case reply == nil:
		t.detours.opened(to)
		return c, nil
	case ctx.Err() != nil:
		return nil, reply
	case opening.Err() != nil:
		reply = saying(replyNoAnswer, "No session with %s within %s", site.Key, within).Because(reply)
	}
	t.detours.leave(to, *reply, false)
	t.lookAround(ctx, set)
	return nil, reply
}

// lookAround, when all ways are left alone, looks whether another one is good again: the gate
// behind which the mail waits is that of one site only.
func (t *Transport) lookAround(ctx context.Context, set *hostSet) {
	for _, w := range set.ways {
		if _, left := t.detours.left(w.to); !left {
			return
		}
	}
	for i, w := range set.ways {
		why, _ := t.detours.left(w.to)
		if i == set.at || why == nil || why.Class == relay.ClassAuth || why.Class == relay.ClassRate {
			continue
		}
		if o := t.openWay(ctx, set.ways, i); o != nil {
			o.Close()
			t.detours.pass(w.to)
			return
		}
	}
}

// openWay opens a session by one of the ways; nil when it cannot.
func (t *Transport) openWay(ctx context.Context, ways []way, at int) *conn {
	ctx, cancel := context.WithTimeout(ctx, wayDoubtful)
	defer cancel()
	site, err := t.resolveWay(ctx, ways, at)
	if err != nil {
		return nil
	}
	set := site.Hosts.(*hostSet)
	for _, to := range t.candidates(set) {
		c, _ := t.open(ctx, set.route, to, t.o.Timeouts.Doubtful)
		if c != nil {
			c.set = set
			return c
		}
	}
	return nil
}

// watched says that there is a way around the host, so that what it says of itself counts.
func (c *conn) watched() bool { return c.set != nil && len(c.set.ways) > 1 && !c.route.MX }

// around takes the message another way for those whom this host could not take, whatever it said
// before the end of the message. Of a message whose end was sent it is for the host to say what
// became of it, and nobody else is given it.
func (d *delivery) around(ctx context.Context) {
	c := d.c
	if !c.watched() || c.visiting || d.ended || d.a.Untried || d.a.Ambiguous || d.a.Local != nil || ctx.Err() != nil {
		return
	}
	d.refused = append(d.refused, d.stranded...)
	for i, w := range c.set.ways {
		if len(d.refused) == 0 {
			return
		}
		if _, left := c.t.detours.left(w.to); left || i == c.set.at {
			continue
		}
		if o := c.t.openWay(ctx, c.set.ways, i); o != nil {
			d.visit(ctx, o)
			o.Close()
			return
		}
	}
}

// tell notes what the attempt says about the way. Before is what this host said, of those whom it
// did not take.
func (d *delivery) tell(before relay.Reply, used int) {
	c := d.c
	if !c.watched() || d.a.Untried || d.a.Ambiguous || d.a.Local != nil {
		return
	}
	to := c.set.to()
	switch {
	case d.positive():
		c.t.detours.delivered(to)
	case before.Class == relay.ClassRate || before.Class == relay.ClassAuth:
		c.t.detours.leave(to, before, true)
	case d.a.Setback || len(d.visited) > 0:
		c.t.detours.setback(to, before, d.a.Setback && used == 0)
	}
}
