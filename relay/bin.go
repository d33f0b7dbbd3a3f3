package relay

import (
	"iter"
	"time"
)

// bin holds what is known in memory of one destination's deliveries. Most of them are in
// the spool; a bounded number are claimed and wait here, ready for a courier. Fields are
// guarded by the Scheduler's mu.
type bin struct {
	to    Destination
	flows map[Flow]*flow
	// hungry has the flows that want deliveries from the spool, by when those are due, or the flow
	// was loaded last if that is later.
	hungry alarms[*flow]
	// starving are those of them with nothing in memory.
	starving alarms[*flow]
	// lanes have the flows with deliveries in memory, by rank.
	lanes []*lane
	// memory is what the deliveries in memory take, those reserved for included, and all that of all bins.
	memory usage
	all    *usage
	// count is how many deliveries wait in memory; away is how many are with couriers.
	count, away int
	// live counts the flows that have anything. The others are remembered for what they
	// have been served, so that a sender of one message at a time pays for them all.
	live int

	// paused is the operators' order to deliver nothing; nil when there is none.
	paused *Pause
	// gate is closed while the destination cannot be resolved.
	gate gate
	// site and pool are nil until the destination is resolved.
	site  *Site
	pool  *pool
	alarm *alarm[*bin]
	// limits is the scheduler's; meters are the rates of the bin, and most is how many of its
	// deliveries may be away at once, 0 for no limit.
	limits *limiter
	meters meters
	most   int
	// wait is in the line for a rate that holds the bin up.
	wait wait
	// closed says that the bin is no more: another may have its place.
	closed bool
	// refilling and resolving say that a goroutine does so.
	refilling, resolving bool
	// resolvingSince is when a look-up began, moved when a delivery last set off or was loaded.
	resolvingSince, moved time.Time
	// eldest is what oldest answered when it was asked last.
	asked, eldest time.Time
}

// flow is one sender's share of a bin.
type flow struct {
	name  Flow
	queue []Delivery
	// next is the due time of the earliest delivery in the spool that is not claimed, or
	// earlier; zero when there is none.
	next time.Time
	// noted is the earliest due time heard of while a claim is under way, whose answer
	// cannot know of it.
	noted     time.Time
	refilling bool
	// extra says that what is being loaded is beyond the room of the bin.
	extra bool
	// filled is when the flow was loaded last: those that were not since go before it.
	filled time.Time
	// pull is since when the flow is pulled early, zero when it is not; pulled are the deliveries that
	// were, touched by nobody but who refills the flow.
	pull   time.Time
	pulled map[DeliveryID]struct{}
	// reserved counts deliveries that are about to be committed and come here.
	reserved int
	// live says that the bin counts the flow among those that have anything.
	live bool

	hunger, starve *alarm[*flow]
	// place is the flow's in its lane. Turn is its place among its sender's flows at the site: among those that may
	// be given or, with held, that its rates hold up or, with benched, on the lane's bench. Sender is nil while it has
	// none of these.
	lane          *lane
	place, turn   *entrant[*flow]
	sender        *sender
	held, benched bool
	// offered is how many of its deliveries count among the lane's.
	offered int
	meters  meters
	weight  float64
}

// flowsRemembered bounds the flows without deliveries that a bin remembers.
const flowsRemembered = 1024

// A flow is refilled from the spool when fewer than flowLow of its deliveries are in
// memory, by up to flowBatch at once.
const (
	flowLow   = 32
	flowBatch = 128
	// With more than flowsWell hungry flows batches are smaller, down to flowBatchLeast.
	flowsWell      = 8
	flowBatchLeast = 4
)

func newBin(to Destination, limits *limiter, all *usage) *bin {
	b := &bin{to: to, flows: make(map[Flow]*flow), limits: limits, all: all}
	b.alarm = newAlarm(b)
	b.meters, b.most = limits.ofDestination(to)
	limits.known += binSize + int64(len(to.Route)+len(to.Domain))
	return b
}

// close lets go of what the bin holds on to.
func (b *bin) close() {
	b.closed = true
	b.limits.giveUp(&b.wait)
	b.limits.drop(b.meters)
	b.limits.known -= binSize + int64(len(b.to.Route)+len(b.to.Domain))
	for _, f := range b.flows {
		b.dropFlow(f)
	}
}

// flow finds or makes the flow of that name.
func (b *bin) flow(name Flow) *flow {
	f := b.flows[name]
	if f == nil {
		f = &flow{name: name, lane: b.lane(name.rank())}
		f.hunger, f.starve = newAlarm(f), newAlarm(f)
		f.place, f.turn = newEntrant(f), newEntrant(f)
		f.meters, f.weight = b.limits.ofFlow(name.Name())
		b.flows[name] = f
		b.limits.known += flowSize + int64(len(name))
	}
	return f
}

// note remembers that the spool has a delivery of the flow that is due then.
func (b *bin) note(name Flow, due time.Time) {
	f := b.flow(name)
	f.next = earlier(f.next, due)
	if f.refilling {
		f.noted = earlier(f.noted, due)
	}
	b.review(f)
}

// review puts the flow where it belongs after a change, and drops it when it is over.
func (b *bin) review(f *flow) {
	f.lane.admit(f)
	at := f.next
	if f.refilling || len(f.queue)+f.reserved >= flowLow {
		at = time.Time{}
	}
	if !at.IsZero() {
		at = later(earlier(at, f.pull), f.filled)
	}
	b.setHunger(f, at)
	b.settleLife(f)
}

// setHunger says from when the flow wants deliveries from the spool; the zero time is never.
func (b *bin) setHunger(f *flow, at time.Time) {
	b.hungry.set(f.hunger, at)
	if !f.bare() {
		at = time.Time{}
	}
	b.starving.set(f.starve, at)
}

// bare says that the flow has nothing in memory.
func (f *flow) bare() bool { return len(f.queue)+f.reserved == 0 }

// settleLife keeps the number of live flows, and forgets a flow that is over and owes nothing.
func (b *bin) settleLife(f *flow) {
	live := len(f.queue) > 0 || !f.next.IsZero() || f.reserved > 0 || f.refilling
	switch {
	case live && !f.live:
		b.live++
	case !live && f.live:
		b.live--
	}
	f.live = live
	if live {
		return
	}
	if f.place.clock <= f.lane.ready.now {
		b.dropFlow(f)
	} else if len(b.flows)-b.live > flowsRemembered {
		b.forget()
	}
}

// forget drops the flows without deliveries whose debt is paid, or else all of them.
func (b *bin) forget() {
	idle := len(b.flows) - b.live
	for _, all := range []bool{false, true} {
		for _, f := range b.flows {
			if !f.live && (all || f.place.clock <= f.lane.ready.now) {
				b.dropFlow(f)
				idle--
			}
		}
		if idle < flowsRemembered {
			return
		}
	}
}

func (b *bin) dropFlow(f *flow) {
	b.limits.drop(f.meters)
	b.limits.known -= flowSize + int64(len(f.name))
	delete(b.flows, f.name)
}

// push adds claimed deliveries to the end of their flow.
func (b *bin) push(f *flow, ds ...Delivery) {
	for i := range ds {
		b.occupy(&ds[i])
	}
	f.queue = append(f.queue, ds...)
	b.count += len(ds)
	b.review(f)
}

// pushBack returns a delivery that pop took, to the front of its flow.
func (b *bin) pushBack(d Delivery) {
	f := b.flow(d.Flow)
	f.queue = append([]Delivery{d}, f.queue...)
	b.occupy(&d)
	b.count++
	b.away--
	b.review(f)
}

// ready are the flows that take part in the turns of their lanes.
func (b *bin) ready() iter.Seq[*flow] {
	return func(yield func(*flow) bool) {
		for _, l := range b.lanes {
			for _, e := range l.ready.heap {
				if !yield(e.value) {
					return
				}
			}
		}
	}
}

// popAny takes a delivery, whatever the rates say: it is not for the next hop. It says whether its sender was let on
// for it.
func (b *bin) popAny() (d Delivery, pass, ok bool) {
	for _, l := range b.lanes {
		if e := l.ready.next(); e != nil {
			l.charge(e.value, len(e.value.queue[0].Recipients))
			pass := e.value.passes()
			return b.serve(e.value), pass, true
		}
	}
	for _, f := range b.flows {
		if len(f.queue) > 0 {
			return b.serve(f), false, true
		}
	}
	return Delivery{}, false, false
}

// passes says whether the sender's rates have let the flow on.
func (f *flow) passes() bool { return f.sender != nil && f.sender.wait.pass }

// serve takes the first delivery of a flow.
func (b *bin) serve(f *flow) Delivery {
	d := f.queue[0]
	f.queue[0] = Delivery{}
	if f.queue = f.queue[1:]; len(f.queue) == 0 {
		f.queue = nil // not to hold on to the memory behind it
	}
	b.vacate(&d)
	b.count--
	b.away++
	b.review(f)
	return d
}

// heldUp says whether limits of the bin keep its deliveries from a courier now.
func (b *bin) heldUp() bool { return b.wait.in() || b.most > 0 && b.away >= b.most }

// limited says whether limits keep any of the deliveries in memory from a courier now.
func (b *bin) limited() bool {
	offered := 0
	for _, l := range b.lanes {
		offered += l.count
	}
	return b.heldUp() || offered < b.count || b.pool != nil && (b.pool.rate.in() || b.pool.dial.in())
}

// unload takes everything out of memory. The deliveries are still claimed: the caller
// releases them, and then notes them.
func (b *bin) unload() []Delivery {
	all := make([]Delivery, 0, b.count)
	for _, f := range b.flows {
		if len(f.queue) == 0 {
			continue
		}
		for i := range f.queue {
			b.vacate(&f.queue[i])
		}
		all = append(all, f.queue...)
		b.count -= len(f.queue)
		f.queue = nil
		b.review(f)
	}
	return all
}

// reachable says whether a delivery loaded now would find a courier, or is wanted for a
// probe. A pool is probed on behalf of one of its members at a time.
func (b *bin) reachable(now time.Time) bool {
	if !b.gate.probe(now) {
		return false
	}
	p := b.pool
	return p == nil || !p.shut() || p.gate.probe(now) && (p.prober == nil || p.prober == b)
}

// probing says that a single delivery is wanted, to try whether the way is free.
func (b *bin) probing() bool {
	return !b.gate.open() || b.pool != nil && b.pool.shut()
}

// wake is when the bin wants attention next: when a delivery in the spool is due and the
// gate is worth a try. Zero means that nothing is expected, or that it is up to the pool.
func (b *bin) wake() time.Time {
	at := b.due()
	if at.IsZero() || b.pool != nil && b.pool.shut() {
		return time.Time{}
	}
	if !b.gate.open() {
		at = later(at, b.gate.until)
	}
	return at
}

// due is when the earliest delivery that waits in the spool can be loaded; zero for none.
func (b *bin) due() time.Time {
	first := b.hungry.first()
	if first == nil || b.paused != nil {
		return time.Time{}
	}
	return first.at
}

// over says that the bin has no reason to exist.
func (b *bin) over() bool {
	return b.live == 0 && b.away == 0 && !b.refilling && !b.resolving
}

// lingerers is how many members a pool may have for its empty bins to be kept.
const lingerers = 64

// lingers says that an empty bin is worth keeping: its site has connections at hand, and the
// next delivery need not be resolved again.
func (b *bin) lingers() bool {
	return b.pool != nil && b.pool.couriers > 0 && len(b.pool.members) <= lingerers
}

// earlier is the earlier of two times, where zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
