package relay

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"
)

// The defaults of SchedulerOptions.
const (
	DefaultConnections           = 20
	DefaultConnectionsTotal      = 2000
	DefaultIdle                  = 5 * time.Second
	DefaultMessagesPerConnection = 1000
	DefaultGrace                 = 10 * time.Second
	defaultMemory                = 32 << 20
	defaultBinMemory             = 1 << 20
	// settleGrace is how long after the end of the last attempt a stop waits for a spool
	// that cannot write, such as one with a full disk.
	settleGrace = 5 * time.Second
	// Look-ups mostly wait. Those of destinations that failed before have fewer places, so
	// that they cannot keep others from theirs.
	resolvesAtOnce = 512
	retriesAtOnce  = 64
	refillsAtOnce  = 8
)

// SchedulerOptions is what a Scheduler needs. Hostname, Spool, Transport, Policy, Observer,
// Now, Chance and IDs must be set.
type SchedulerOptions struct {
	// Hostname is our name in notices to senders.
	Hostname  string
	Spool     Spool
	Transport Transport
	Policy    Policy
	Observer  Observer
	// Signers sign notices.
	Signers []Signer
	// IDs names notices.
	IDs   *IDs
	Retry Retry

	// Connections is the most connections to a site that does not say otherwise.
	Connections int
	// ConnectionsTotal is the most connections in all.
	ConnectionsTotal int
	// Idle is how long a connection is kept open without a delivery.
	Idle time.Duration
	// MessagesPerConnection is how many transactions a connection carries.
	MessagesPerConnection int
	// Grace is how long attempts under way may go on after the end of Run's context.
	Grace time.Duration
	// Memory bounds the deliveries held in memory, in bytes, in all and per bin.
	Memory, BinMemory int64

	Now func() time.Time
	// Chance returns a random number in [0,1).
	Chance func() float64
}

// Scheduler is the way out: it owns every delivery from its commit to its end. All state
// is behind one mutex, held for moments; whatever waits for disk or network is done by
// goroutines outside it. Run starts them and waits for them.
type Scheduler struct {
	o SchedulerOptions

	mu          sync.Mutex
	bins        map[Destination]*bin
	pools       map[string]*pool
	binAlarms   alarms[*bin]
	poolAlarms  alarms[*pool]
	memory      int64
	connections int
	// blocked are the pools that wait for ConnectionsTotal to have room, resting those with
	// idle connections, which must yield to them.
	blocked, resting map[*pool]struct{}
	// resolves, retries and refills run what waits for DNS or disk.
	resolves, retries, refills crew
	// running is set while Run is; stopped for good after it.
	running, stopped bool
	// work ends when Run's context does: nothing new is begun. attempts ends after Grace, and
	// settles a moment later, when what the attempts came to must be recorded.
	work, attempts, settles context.Context

	// poke wakes the timer loop, which sleeps until asleep.
	poke       chan struct{}
	asleep     time.Time
	goroutines sync.WaitGroup
}

// NewScheduler fills in the defaults and checks the rest.
func NewScheduler(o SchedulerOptions) (*Scheduler, error) {
	if o.Spool == nil || o.Transport == nil || o.Policy == nil || o.Observer == nil || o.IDs == nil ||
		o.Now == nil || o.Chance == nil || o.Hostname == "" {
		return nil, errors.New("scheduler: hostname, spool, transport, policy, observer, IDs, clock and chance must be set")
	}
	if o.Retry == (Retry{}) {
		o.Retry = DefaultRetry()
	}
	o.Connections = cmp.Or(o.Connections, DefaultConnections)
	o.ConnectionsTotal = cmp.Or(o.ConnectionsTotal, DefaultConnectionsTotal)
	o.Idle = cmp.Or(o.Idle, DefaultIdle)
	o.MessagesPerConnection = cmp.Or(o.MessagesPerConnection, DefaultMessagesPerConnection)
	o.Grace = cmp.Or(o.Grace, DefaultGrace)
	o.Memory = cmp.Or(o.Memory, defaultMemory)
	o.BinMemory = cmp.Or(o.BinMemory, defaultBinMemory)
	s := &Scheduler{
		o: o, bins: make(map[Destination]*bin), pools: make(map[string]*pool),
		blocked: make(map[*pool]struct{}), resting: make(map[*pool]struct{}), poke: make(chan struct{}, 1),
	}
	s.resolves, s.retries, s.refills = s.crew(resolvesAtOnce), s.crew(retriesAtOnce), s.crew(refillsAtOnce)
	return s, nil
}

func (s *Scheduler) crew(most int) crew {
	return crew{most: most, spawn: s.goroutines.Go, lock: s.mu.Lock, unlock: s.mu.Unlock}
}

// Run delivers mail until ctx ends. Then nothing new is begun, attempts under way have
// Grace to finish, and what is not delivered stays in the spool.
func (s *Scheduler) Run(ctx context.Context) error {
	settles, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	attempts, cancel := context.WithCancel(settles)
	defer cancel()
	s.start(ctx, attempts, settles)
	s.goroutines.Go(func() { s.keepTime(ctx) })
	s.goroutines.Go(func() { s.sweep(ctx) })
	err := s.load(ctx)
	if err == nil {
		<-ctx.Done()
	}
	s.stop()
	defer time.AfterFunc(s.o.Grace, cancel).Stop()
	defer time.AfterFunc(s.o.Grace+settleGrace, abandon).Stop()
	s.goroutines.Wait()
	s.releaseAll()
	return err
}

// start lets what was accepted before Run on its way.
func (s *Scheduler) start(work, attempts, settles context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.work, s.attempts, s.settles = work, attempts, settles
	s.running = true
	for _, b := range s.bins {
		s.advance(b)
	}
}

// load learns from the spool which bins and flows there are. That costs time in the number
// of bins, not of messages; deliveries go on meanwhile.
func (s *Scheduler) load(ctx context.Context) error {
	for head, err := range s.o.Spool.Bins(ctx) {
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		s.mu.Lock()
		b := s.bin(head.To)
		b.note(head.Flow, head.Due)
		s.advance(b)
		s.mu.Unlock()
	}
	return nil
}

// keepTime attends to bins and pools when their time has come.
func (s *Scheduler) keepTime(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.poke:
		case <-timer.C:
		}
		wait := s.ring()
		timer.Reset(wait)
	}
}

// ring attends to all that is due and says how long nothing else will be.
func (s *Scheduler) ring() time.Duration {
	const longest = time.Minute
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.o.Now()
	for a := s.binAlarms.due(now); a != nil; a = s.binAlarms.due(now) {
		s.advance(a.value)
	}
	for a := s.poolAlarms.due(now); a != nil; a = s.poolAlarms.due(now) {
		s.attend(a.value)
	}
	wait := longest
	if a := s.binAlarms.first(); a != nil {
		wait = min(wait, a.at.Sub(now))
	}
	if a := s.poolAlarms.first(); a != nil {
		wait = min(wait, a.at.Sub(now))
	}
	wait = max(wait, 0)
	s.asleep = now.Add(wait)
	return wait
}

// bin finds or makes the bin of a destination.
func (s *Scheduler) bin(to Destination) *bin {
	b := s.bins[to]
	if b == nil {
		b = newBin(to)
		s.bins[to] = b
	}
	return b
}

// reserve decides which of the deliveries about to be committed will be handed over in
// memory, with their message: those get Claimed set and their room is taken. The others will be read from the
// spool when their turn comes, as are all of a flow that has a backlog there.
func (s *Scheduler) reserve(m *Message, ds []Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	now := s.o.Now()
	for i := range ds {
		d := &ds[i]
		b := s.bin(d.To)
		f := b.flow(d.Flow)
		behind := f.refilling || !f.next.IsZero() && !f.next.After(now)
		if behind || b.probing() || !s.hasRoom(b) {
			continue
		}
		d.Claimed, d.message = true, m
		f.reserved++
		b.memory += footprint(*d)
		s.memory += footprint(*d)
	}
}

// unreserve gives the room of a claimed delivery back.
func (s *Scheduler) unreserve(b *bin, d Delivery) *flow {
	f := b.flow(d.Flow)
	f.reserved--
	b.memory -= footprint(d)
	s.memory -= footprint(d)
	return f
}

// cancel gives back what reserve took, after a commit that failed.
func (s *Scheduler) cancel(ds []Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range ds {
		b := s.bin(d.To)
		if d.Claimed {
			b.review(s.unreserve(b, d))
		} else {
			b.review(b.flow(d.Flow))
		}
		s.advance(b)
	}
}

// accept takes over the deliveries that have been committed after reserve.
func (s *Scheduler) accept(ds []Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range ds {
		b := s.bin(d.To)
		if d.Claimed {
			s.push(b, s.unreserve(b, d), d)
		} else {
			b.note(d.Flow, d.Due)
		}
		s.advance(b)
	}
}

// push gives the bin deliveries that are claimed.
func (s *Scheduler) push(b *bin, f *flow, ds ...Delivery) {
	for _, d := range ds {
		s.memory += footprint(d)
	}
	b.push(f, ds...)
}

// hasRoom says whether the bin may hold more in memory. The more is held in all, the less a
// bin may have of it, so that slow destinations leave room for those that come later; what
// has nothing is always given something.
func (s *Scheduler) hasRoom(b *bin) bool { return b.memory == 0 || s.room(b) > 0 }

// room is how many bytes more the bin may hold.
func (s *Scheduler) room(b *bin) int64 {
	return min(s.o.BinMemory, (s.o.Memory-s.memory)/4) - b.memory
}

// advance does for the bin what can be done now and sets its alarm for what cannot. It is
// called after every change to the bin, and holds the rules of its life: deliveries due in
// the spool are loaded, a destination with deliveries in memory is resolved, a resolved one
// is served by its pool.
func (s *Scheduler) advance(b *bin) {
	if !s.running || s.stopped {
		return
	}
	now := s.o.Now()
	s.refill(b, now)
	if b.count > 0 {
		s.dispatch(b, now)
	}
	if b.over() && !b.lingers() {
		s.remove(b)
		return
	}
	at := s.alarmFor(b, now)
	s.binAlarms.set(b.alarm, at)
	s.wakeTimer(at)
	if p := b.pool; p != nil && p.shut() {
		s.expectProbe(b, p, now)
	}
}

// expectProbe sees to it that a site behind a closed gate is tried for the bin's sake, and
// gives the turn to another member when the bin that had it has nothing more to try with.
func (s *Scheduler) expectProbe(b *bin, p *pool, now time.Time) {
	if p.prober == b && b.count+b.away == 0 && !b.refilling {
		p.prober = nil
		s.attend(p)
		return
	}
	due := b.due()
	if due.IsZero() || p.prober != nil {
		return
	}
	if at := later(due, later(p.gate.until, now)); p.alarm.index < 0 || at.Before(p.alarm.at) {
		s.setPoolAlarm(p, at)
	}
}

func (s *Scheduler) setPoolAlarm(p *pool, at time.Time) {
	s.poolAlarms.set(p.alarm, at)
	s.wakeTimer(at)
}

// attend looks after a pool when its alarm rings. Behind a closed gate, one member that has a
// delivery due loads it, and the site is tried with that. The others cost nothing meanwhile.
func (s *Scheduler) attend(p *pool) {
	if !p.shut() || p.ready.len() > 0 {
		s.pump(p)
		return
	}
	if p.prober != nil || p.dialing > 0 || s.stopped {
		return
	}
	now := s.o.Now()
	if !p.gate.probe(now) {
		s.setPoolAlarm(p, p.gate.until)
		return
	}
	member, next := p.hungry(now)
	if member == nil {
		s.setPoolAlarm(p, next)
		return
	}
	s.advance(member)
}

// alarmFor is when the bin is to be looked at again if nothing happens to it before. Zero
// means that only an event can bring it on.
func (s *Scheduler) alarmFor(b *bin, now time.Time) time.Time {
	busy := b.count+b.away > 0
	switch {
	case b.count > 0 && b.pool == nil && !b.resolving:
		return later(now, b.gate.until)
	case b.refilling || b.probing() && busy:
		return time.Time{}
	case !s.hasRoom(b) && busy:
		return time.Time{}
	case !s.hasRoom(b):
		return now.Add(spoolPause)
	}
	return b.wake()
}

// wakeTimer pokes the timer loop if it would sleep for longer.
func (s *Scheduler) wakeTimer(at time.Time) {
	if at.IsZero() || !at.Before(s.asleep) {
		return
	}
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

// dispatch brings the bin's deliveries to a pool, or its destination to resolution.
func (s *Scheduler) dispatch(b *bin, now time.Time) {
	stale := b.site != nil && !b.site.Expires.IsZero() && !now.Before(b.site.Expires)
	if b.pool != nil && !stale {
		b.pool.ready.enter(b.place)
		s.pump(b.pool)
		return
	}
	if b.resolving || !b.gate.probe(now) {
		return
	}
	b.resolving = true
	crew := &s.resolves
	if !b.gate.open() {
		crew = &s.retries
	}
	crew.run(func() { s.resolve(b) })
}

// remove forgets a bin that is over, and its pool if it was the last.
func (s *Scheduler) remove(b *bin) {
	s.binAlarms.set(b.alarm, time.Time{})
	delete(s.bins, b.to)
	if p := b.pool; p != nil {
		p.part(b)
		s.reap(p)
	}
}

// reap forgets a pool that is over.
func (s *Scheduler) reap(p *pool) {
	if p.over() && s.pools[p.site.Key] == p {
		s.poolAlarms.set(p.alarm, time.Time{})
		delete(s.pools, p.site.Key)
		delete(s.blocked, p)
	}
}

// pump gives a pool's deliveries to its idle couriers and opens connections for more.
func (s *Scheduler) pump(p *pool) {
	if !s.running || s.stopped {
		return
	}
	now := s.o.Now()
	for len(p.idle) > 0 {
		d, ok := s.pick(p, now)
		if !ok {
			return
		}
		s.popIdle(p).handed <- d
	}
	for p.wantsCourier(now) {
		if s.connections >= s.o.ConnectionsTotal {
			s.blocked[p] = struct{}{}
			s.makeRoom()
			return
		}
		s.hire(p)
	}
	if p.ready.len() > 0 && !p.gate.open() && p.dialing == 0 {
		s.setPoolAlarm(p, p.gate.until)
	}
}

// popIdle takes an idle courier of the pool.
func (s *Scheduler) popIdle(p *pool) *courier {
	c := p.popIdle()
	if len(p.idle) == 0 {
		delete(s.resting, p)
	}
	return c
}

// makeRoom ends an idle connection of any pool, for one that has work.
func (s *Scheduler) makeRoom() {
	for p := range s.resting {
		close(s.popIdle(p).handed)
		return
	}
}

// pick takes a delivery for a courier of the pool and lets the bin that gave it refill.
func (s *Scheduler) pick(p *pool, now time.Time) (Delivery, bool) {
	d, from, stale := p.pick(now)
	for _, b := range stale {
		s.advance(b)
	}
	if from == nil {
		return Delivery{}, false
	}
	s.memory -= footprint(d)
	s.refill(from, now)
	return d, true
}

// putBack returns a delivery to its bin unchanged: nothing was decided about it.
func (s *Scheduler) putBack(d Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bin(d.To)
	b.pushBack(d)
	s.memory += footprint(d)
	s.advance(b)
}

// giveUp releases a delivery that cannot be handled now. It is read from the spool again.
func (s *Scheduler) giveUp(d Delivery) {
	s.o.Spool.Release(d)
	s.landed(d, d)
}

// landed says that a delivery came back from a courier or resolver, and what of it, and
// what besides, is in the spool now.
func (s *Scheduler) landed(d Delivery, remains ...Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bin(d.To)
	b.away = max(b.away-1, 0) // a panic in an observer can make it land twice
	s.note(remains...)
	s.advance(b)
}

// note remembers deliveries that are in the spool, unclaimed.
func (s *Scheduler) note(ds ...Delivery) {
	for _, d := range ds {
		b := s.bin(d.To)
		b.note(d.Flow, d.Due)
		s.advance(b)
	}
}

// unload releases all that the bin has in memory: it waits in the spool. The spool is not
// asked while mu is held, as it may wait for the disk; what is released is noted after.
func (s *Scheduler) unload(b *bin) {
	ds := s.takeAll(b)
	if len(ds) == 0 {
		return
	}
	s.goroutines.Go(func() {
		s.o.Spool.Release(ds...)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.note(ds...)
	})
}

// takeAll takes everything out of the bin's memory, still claimed.
func (s *Scheduler) takeAll(b *bin) []Delivery {
	before := b.memory
	ds := b.unload()
	s.memory -= before - b.memory
	if b.pool != nil {
		b.pool.ready.leave(b.place)
	}
	return ds
}

// stop lets nothing new begin.
func (s *Scheduler) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	s.resolves.waiting, s.retries.waiting, s.refills.waiting = nil, nil, nil
}

// releaseAll gives up every claim, when nobody works on one any more.
func (s *Scheduler) releaseAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.bins {
		s.o.Spool.Release(s.takeAll(b)...)
	}
}
