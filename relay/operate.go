package relay

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// OperatorOptions is what an Operator needs. Scheduler and Notes must be set.
type OperatorOptions struct {
	Scheduler *Scheduler
	// Notes keep the pauses and the journal.
	Notes Notes
	// Told is told of each order that has changed something; nil means nobody is.
	Told func(Entry)
	// Durable, where it is set, returns once all that was settled and noted before is on disk: what
	// an operator was told is done outlives a crash.
	Durable func(context.Context) error
}

// Operator does to the queue what people ask for. It shares the deliveries with the
// Scheduler by the rule that holds for all: who changes one has claimed it. What waits in
// memory it takes from there; what is being attempted it waits for, for a while.
type Operator struct {
	o       OperatorOptions
	s       *Scheduler
	journal journal
	pauses  pauseList
}

// NewOperator reads the pauses and puts them in force, and tells of the orders that the end of the
// process before this one broke off. It is made before the Scheduler runs.
func NewOperator(ctx context.Context, o OperatorOptions) (*Operator, error) {
	if o.Scheduler == nil || o.Notes == nil {
		return nil, errors.New("operator: scheduler and notes must be set")
	}
	if o.Told == nil {
		o.Told = func(Entry) {}
	}
	if o.Durable == nil {
		o.Durable = func(context.Context) error { return nil }
	}
	op := &Operator{o: o, s: o.Scheduler, journal: journal{notes: o.Notes}, pauses: pauseList{notes: o.Notes}}
	if err := op.pauses.load(ctx); err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	op.s.setPauses(op.pauses.list())
	broken, err := op.journal.breakOff(ctx)
	if err != nil {
		return nil, fmt.Errorf("operator: read the journal: %w", err)
	}
	for _, e := range broken {
		o.Told(e)
	}
	return op, nil
}

// Do carries out an order, message by message in order of arrival: what is done to a message
// is done to all of it that the selector means, or to nothing. Mail that arrives meanwhile is
// left alone. An order can be given again: what it has done it does not do twice. Progress is
// called after each message that was looked at, with the counts so far; nil means nobody asks. On
// an error, or when ctx ends, the tally says how far it came.
func (o *Operator) Do(ctx context.Context, order Order, progress func(Tally)) (Tally, error) {
	if err := order.check(); err != nil {
		return Tally{}, err
	}
	if progress == nil {
		progress = func(Tally) {}
	}
	if order.Patience == 0 {
		order.Patience = DefaultPatience
	}
	e := &errand{o: o, s: o.s, order: &order, progress: progress, began: o.s.o.Now()}
	err := e.run(ctx)
	err = errors.Join(err, e.conclude(context.WithoutCancel(ctx), err != nil))
	if err != nil {
		return e.tally, fmt.Errorf("%s: %w", order.Action, err)
	}
	return e.tally, nil
}

// errand is an order being carried out.
type errand struct {
	o        *Operator
	s        *Scheduler
	order    *Order
	progress func(Tally)
	began    time.Time
	tally    Tally
	// busy are messages to come back to.
	busy []ID
	// entry is the order's in the journal, once it has changed something, under id, as it was noted
	// there last.
	entry Entry
	id    ID
	noted time.Time
}

// busyAtOnce bounds the messages that an order comes back to. There are no more attempts
// under way than connections.
const busyAtOnce = 10_000

func (e *errand) run(ctx context.Context) error {
	if err := e.walk(ctx); err != nil {
		if len(e.busy) > 0 { // where it goes on, those have their turn too
			e.tally.Next = e.busy[0]
		}
		return err
	}
	e.tally.Next = ID{}
	err := e.comeBack(ctx)
	if t := &e.tally; !e.order.DryRun {
		t.Unchanged = t.Matched - t.Changed - t.Busy - t.Failed
	}
	return err
}

// walk goes through the queue, or to the messages that are named.
func (e *errand) walk(ctx context.Context) error {
	if ids := e.order.Select.IDs; len(ids) > 0 {
		for _, id := range ids {
			ds, err := e.s.o.Spool.Deliveries(ctx, id)
			if err == nil {
				err = e.message(ctx, ds)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	if err := e.span(ctx, e.order.From, IDAt(e.began.Add(time.Millisecond))); err != nil {
		return err
	}
	// What has a name of a time to come was there before: it is from a process whose clock was ahead.
	ahead := IDAt(e.s.o.Now().Add(walkAhead))
	if string(ahead[:]) < string(e.order.From[:]) {
		ahead = e.order.From
	}
	return e.span(ctx, ahead, lastID())
}

// walkAhead is how far ahead of the clock a message's name must be for the message to be of another
// clock. Mail that arrives while an order is carried out is not.
const walkAhead = time.Minute

// span goes through the messages from one ID up to another.
func (e *errand) span(ctx context.Context, from, until ID) error {
	var ds []Delivery
	for d, err := range e.s.o.Spool.List(ctx, from) {
		if err != nil {
			return err
		}
		if len(ds) > 0 && ds[0].Message != d.Message {
			if err := e.message(ctx, ds); err != nil {
				return err
			}
			ds = ds[:0]
		}
		if string(d.Message[:]) >= string(until[:]) {
			break
		}
		ds = append(ds, d)
	}
	return e.message(ctx, ds)
}

// message does what is wanted to one message, of which these are the deliveries.
func (e *errand) message(ctx context.Context, ds []Delivery) error {
	if len(ds) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	id := ds[0].Message
	e.tally.Next = id
	e.tally.Seen += len(ds)
	meant, m := e.meant(ctx, ds)
	e.tally.Matched += len(meant)
	if len(meant) > 0 && !e.order.DryRun {
		done, err := e.change(ctx, meant, m, true)
		if err != nil {
			return err
		}
		if !done {
			e.busy = append(e.busy, id)
		}
	}
	e.progress(e.tally)
	return nil
}

// meant are the deliveries that the selector means, and their message where it was read.
func (e *errand) meant(ctx context.Context, ds []Delivery) (meant []Delivery, m *Message) {
	sel := &e.order.Select
	for i := range ds {
		if sel.matchesDelivery(&ds[i], e.began, e.s.StateOf) {
			meant = append(meant, ds[i])
		}
	}
	if len(meant) == 0 || !sel.asksMessage() {
		return meant, nil
	}
	m, err := e.s.o.Spool.Message(ctx, meant[0].Message)
	if err != nil {
		return nil, nil // gone, or for who attempts it to find out
	}
	all := meant
	meant = nil
	for i := range all {
		if sel.matchesMessage(&all[i], m) {
			meant = append(meant, all[i])
		}
	}
	return meant, m
}

// comeBackPause is how long an order waits before it looks again at what was busy.
const comeBackPause = 100 * time.Millisecond

// comeBack sees to the messages that were being attempted. At the end of its patience it
// does what can be done to each.
func (e *errand) comeBack(ctx context.Context) error {
	end := e.s.o.Now().Add(e.order.Patience)
	for len(e.busy) > 0 {
		last := !e.s.o.Now().Before(end)
		if !last {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(comeBackPause):
			}
		}
		again := e.busy
		e.busy = nil
		for _, id := range again {
			done, err := e.again(ctx, id, !last)
			if err != nil {
				return err
			}
			if !done && !last {
				e.busy = append(e.busy, id)
			}
		}
		e.progress(e.tally)
	}
	return nil
}

// again looks at a message once more.
func (e *errand) again(ctx context.Context, id ID, whole bool) (done bool, err error) {
	ds, err := e.s.o.Spool.Deliveries(ctx, id)
	if err != nil {
		return false, err
	}
	meant, m := e.meant(ctx, ds)
	if len(meant) == 0 {
		return true, nil
	}
	return e.change(ctx, meant, m, whole)
}
