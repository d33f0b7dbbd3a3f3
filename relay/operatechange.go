package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// change claims deliveries of a message and settles them as the order wants. Where one is
// busy and the whole is wanted, nothing is done and the answer is no.
func (e *errand) change(ctx context.Context, meant []Delivery, m *Message, whole bool) (done bool, err error) {
	all := meant
	meant = e.pick(meant)
	if len(meant) == 0 {
		return true, nil
	}
	mine, err := e.claim(ctx, meant, all)
	if err != nil {
		return false, err
	}
	if missing := len(meant) - len(mine); missing > 0 {
		if whole && len(e.busy) < busyAtOnce {
			e.giveBack(mine)
			return false, nil
		}
		e.tally.Busy += missing
	}
	if len(mine) == 0 {
		return true, nil
	}
	return true, e.settle(ctx, mine, m)
}

// pick leaves out what is as the order wants it, and lets gates on the way be probed.
func (e *errand) pick(meant []Delivery) []Delivery {
	return slices.DeleteFunc(slices.Clone(meant), func(d Delivery) bool {
		held := d.Held != ""
		as := false
		switch e.order.Action {
		case ActionHold:
			as = held
		case ActionRelease:
			as = !held
		case ActionRetry:
			as = held || !d.Due.After(e.s.o.Now())
			if !held {
				e.s.probeNow(d.To)
			}
		}
		return as
	})
}

// claim claims what it can of the deliveries that are meant, which are among all that were looked at: from
// memory, from the spool, and what is held.
func (e *errand) claim(ctx context.Context, meant, all []Delivery) ([]Delivery, error) {
	mine := e.s.withdraw(meant)
	if len(mine) == len(meant) {
		return mine, nil
	}
	id := meant[0].Message
	free, err := e.s.claimMessage(ctx, id, all)
	if err != nil {
		e.giveBack(mine)
		return nil, err
	}
	var held []Delivery
	if slices.ContainsFunc(meant, func(d Delivery) bool { return d.Held != "" }) {
		if held, err = e.s.o.Spool.ClaimHeld(ctx, id); err != nil {
			e.giveBack(append(mine, free...))
			return nil, err
		}
	}
	for _, d := range slices.Concat(free, held) {
		// What was held, or no longer is, since it was looked at is not what was meant.
		same := func(w Delivery) bool { return w.DeliveryID == d.DeliveryID && (w.Held == "") == (d.Held == "") }
		if slices.ContainsFunc(meant, same) {
			mine = append(mine, d)
		} else {
			e.giveBack([]Delivery{d})
		}
	}
	return mine, nil
}

// giveBack releases deliveries unchanged.
func (e *errand) giveBack(ds []Delivery) {
	for _, d := range ds {
		if d.Held != "" {
			e.s.o.Spool.Release(d)
		} else {
			e.s.giveUp(d)
		}
	}
}

// settle does what is wanted to claimed deliveries of a message, as one batch.
func (e *errand) settle(ctx context.Context, mine []Delivery, m *Message) error {
	if m == nil {
		var err error
		if m, err = e.s.o.Spool.Message(ctx, mine[0].Message); err != nil {
			e.giveBack(mine)
			if ctx.Err() == nil {
				e.fail(mine, err)
				return nil
			}
			return err
		}
	}
	c, err := e.changes(ctx, mine, m)
	if err != nil {
		e.giveBack(mine)
		e.fail(mine, err)
		return nil
	}
	if len(c.settlements) == 0 {
		e.giveBack(mine)
		return nil
	}
	if err := e.note(ctx); err != nil {
		e.giveBack(mine)
		return err
	}
	// While the disk is full it waits for space, whoever has given the order and gone since: what
	// nobody waits for would still take effect, and the bins would not be told.
	if err := e.s.o.Spool.Settle(context.WithoutCancel(ctx), c.settlements...); err != nil {
		e.giveBack(mine)
		if errors.Is(err, ErrNotFound) { // set aside meanwhile
			return nil
		}
		return err
	}
	e.giveBack(c.unchanged)
	e.tally.Changed += len(c.settlements)
	c.land(e.s)
	return nil
}

func (e *errand) fail(mine []Delivery, err error) {
	e.tally.Failed += len(mine)
	e.s.o.Observer.Faulted(Fault{Doing: e.order.Action.String() + " as an operator wants", Message: mine[0].Message, Err: err})
}

// changes are what an order makes of deliveries of a message.
type changes struct {
	settlements []Settlement
	// facts are what the observer is told of once they are made.
	facts []Attempted
	told  []Notified
	// unchanged are as the order wants them.
	unchanged []Delivery
	// author is whose order it is.
	author string
}

func (e *errand) changes(ctx context.Context, mine []Delivery, m *Message) (*changes, error) {
	c := &changes{author: e.order.Author}
	for _, d := range mine {
		if !d.fits(m) {
			return nil, fmt.Errorf("%w: recipients %v of %d", ErrCorrupt, d.Recipients, len(m.Envelope.Recipients))
		}
		then, fact, err := e.outcome(d, m)
		if err != nil {
			return nil, err
		}
		if e.order.Action == ActionReroute && len(then) == 1 && then[0].To == d.To && then[0].Route == d.Route {
			c.unchanged = append(c.unchanged, d)
			continue
		}
		c.settlements = append(c.settlements, Settlement{Delivery: d, Message: m, Then: then, Events: e.events(d, fact)})
		if fact.Outcomes != nil {
			c.facts = append(c.facts, fact)
		}
	}
	if e.order.Action == ActionBounce {
		all := Attempted{Delivery: mine[0], Message: m}
		for _, f := range c.facts {
			all.Outcomes = append(all.Outcomes, f.Outcomes...)
		}
		c.told = e.s.notices(ctx, &c.settlements[0], m, all)
	}
	return c, nil
}

// events are what is remembered of what the order did to a delivery.
func (e *errand) events(d Delivery, fact Attempted) []Event {
	if fact.Outcomes == nil {
		fact = Attempted{Delivery: d}
	}
	now := e.s.o.Now()
	events := fact.events(now)
	if events == nil || e.order.Action == ActionReroute {
		return []Event{{
			At: now, What: e.order.Action.String(), Recipients: d.Recipients, Attempts: d.Attempts,
			Author: e.order.Author, Reason: e.order.Reason,
		}}
	}
	for i := range events {
		events[i].Author, events[i].Reason = e.order.Author, e.order.Reason
	}
	return events
}

// outcome is what the order makes of a delivery: what remains of it, and what there is to tell.
func (e *errand) outcome(d Delivery, m *Message) (then []Delivery, fact Attempted, err error) {
	now := e.s.o.Now()
	next := d
	next.Claimed, next.message = false, nil
	fact = Attempted{Delivery: d, Message: m}
	switch e.order.Action {
	case ActionHold:
		next.Held, next.HeldSince = "by "+e.order.Author+": "+e.order.Reason, now
		return []Delivery{next}, Attempted{}, nil
	case ActionRelease:
		next.release(m, now)
		return []Delivery{next}, Attempted{}, nil
	case ActionRetry:
		next.Due = now
		return []Delivery{next}, Attempted{}, nil
	case ActionReroute:
		then, fact.Outcomes, err = e.reroute(next, m, now)
		return then, fact, err
	case ActionDelete:
		fact.Outcomes = each(d, m, Deleted, Reply{Text: "by " + e.order.Author + ": " + e.order.Reason})
	case ActionBounce:
		text := cmp.Or(e.order.Text, "Returned by the operator of this system")
		fact.Outcomes = each(d, m, Bounced, Reply{Code: 554, Enhanced: EnhancedCode{5, 0, 0}, Text: text})
	}
	return nil, fact, nil
}

// release makes a held delivery due. The time that it was held does not count as age.
func (d *Delivery) release(m *Message, now time.Time) {
	since := d.HeldSince
	if since.IsZero() {
		since = m.Received
	}
	if d.Held != "" {
		d.Suspended += max(now.Sub(since), 0)
	}
	d.Held, d.HeldSince, d.Released, d.Due = "", time.Time{}, true, now
}

// each gives all recipients of a delivery the same outcome.
func each(d Delivery, m *Message, status Status, reply Reply) []Outcome {
	outcomes := make([]Outcome, len(d.Recipients))
	for i, k := range d.Recipients {
		outcomes[i] = Outcome{Recipient: m.Envelope.Recipients[k], Status: status, Reply: reply}
	}
	return outcomes
}

// reroute is the delivery on its new way, in parts where its recipients part ways. What is
// held stays held.
func (e *errand) reroute(d Delivery, m *Message, now time.Time) (then []Delivery, outcomes []Outcome, err error) {
	d.Route, d.Due = e.order.Route, now
	for _, k := range d.Recipients {
		rcpt := m.Envelope.Recipients[k]
		rcpt.Route = cmp.Or(d.Route, rcpt.Route)
		routing, reply := e.s.live().Policy.Route(m, rcpt)
		if reply != nil {
			return nil, nil, reply
		}
		i := slices.IndexFunc(then, func(t Delivery) bool { return t.To == routing.To })
		if i < 0 {
			i = len(then)
			next := d
			next.To, next.Recipients = routing.To, nil
			then = append(then, next)
		}
		then[i].Recipients = append(then[i].Recipients, k)
		outcomes = append(outcomes, Outcome{Recipient: rcpt, Status: Moved, Reply: Reply{Text: "now for " + routing.To.String()}})
	}
	for i := range then {
		then[i].Sole = d.Sole && len(then) == 1
	}
	return then, outcomes, nil
}

// land tells the bins and the observer what has been settled.
func (c *changes) land(s *Scheduler) {
	for _, st := range c.settlements {
		remains := st.Then
		for _, n := range st.Notices {
			remains = append(remains, n.Deliveries...)
		}
		if st.Delivery.Held != "" {
			s.noteAll(remains)
		} else {
			s.landed(st.Delivery, remains...)
			tellHeld(s.o.Observer, st.Message, st.Then, c.author)
		}
	}
	for _, f := range c.facts {
		s.o.Observer.Attempted(f)
	}
	for _, n := range c.told {
		s.o.Observer.Notified(n)
	}
}
