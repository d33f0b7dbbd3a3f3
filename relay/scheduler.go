package relay

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// The defaults of SchedulerOptions.
const (
	DefaultConnections           = 20
	DefaultConnectionsTotal      = 2000
	DefaultIdle                  = 5 * time.Second
	DefaultMessagesPerConnection = 1000
	DefaultGrace                 = 10 * time.Second
	DefaultRetryShare            = 0.75
	DefaultKnownMemory           = 32 << 20
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
	// RetryShare is the part of a site's connections that deliveries which were attempted before
	// may have, so that fresh mail finds one.
	RetryShare float64
	// Notes, where they are set, keep what was learned for the next start.
	Notes Notes
	// Limits bound what goes out and how fast.
	Limits Limits
	// KnownMemory bounds what is known in memory of destinations and senders with mail waiting, in
	// bytes.
	KnownMemory int64
	// Memory bounds the deliveries held in memory, in bytes, in all and per bin.
	Memory, BinMemory int64

	// Stuck is how long a connection may be in one phase before it is ended and reported.
	Stuck time.Duration

	Now func() time.Time
	// Chance returns a random number in [0,1).
	Chance func() float64
}

// Scheduler is the way out: it owns every delivery from its commit to its end. All state
// is behind one mutex, held for moments; whatever waits for disk or network is done by
// goroutines outside it. Run starts them and waits for them.
type Scheduler struct {
	// o are the options of the beginning, current those of now: see Reload.
	o       SchedulerOptions
	current atomic.Pointer[SchedulerOptions]

	mu          sync.Mutex
	limits      *limiter
	lessons     lessons
	rover       rover
	drought     drought
	marks       marks
	bins        map[Destination]*bin
	pools       map[string]*pool
	pauses      pauses
	binAlarms   alarms[*bin]
	poolAlarms  alarms[*pool]
	memory      usage
	connections int
	// stalls counts what the watch found not to move, the last time at stalledAt.
	stalls    int
	stalledAt time.Time
	// underway are the attempts that are being made.
	underway map[DeliveryID]Underway
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
	poke   chan struct{}
	asleep time.Time
	// probes ask the timer loop to go round once.
	probes     chan chan<- struct{}
	goroutines sync.WaitGroup
}

// NewScheduler fills in the defaults and checks the rest.
func NewScheduler(o SchedulerOptions) (*Scheduler, error) {
	if o.Spool == nil || o.Transport == nil || o.Policy == nil || o.Observer == nil || o.IDs == nil ||
		o.Now == nil || o.Chance == nil || o.Hostname == "" {
		return nil, errors.New("scheduler: hostname, spool, transport, policy, observer, IDs, clock and chance must be set")
	}
	o.setDefaults()
	o.Grace = cmp.Or(o.Grace, DefaultGrace)
	o.Memory = cmp.Or(o.Memory, defaultMemory)
	o.Stuck = cmp.Or(o.Stuck, DefaultStuck)
	o.BinMemory = cmp.Or(o.BinMemory, defaultBinMemory)
	s := &Scheduler{
		o: o, limits: newLimiter(o.Limits, o.Now), rover: rover{shelved: make(map[Destination]gate)}, lessons: lessons{all: make(map[string]lesson), dirty: make(map[string]struct{})},
		bins: make(map[Destination]*bin), pools: make(map[string]*pool),
		underway: make(map[DeliveryID]Underway), blocked: make(map[*pool]struct{}), resting: make(map[*pool]struct{}), poke: make(chan struct{}, 1), probes: make(chan chan<- struct{}),
	}
	s.limits.wake = s.wakeTimer
	s.current.Store(&o)
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
	s.begun(ctx, attempts, settles)
	s.recall(ctx)
	s.start()
	s.goroutines.Go(func() { s.keepTime(ctx) })
	s.goroutines.Go(func() { s.sweep(ctx) })
	s.goroutines.Go(func() { s.remember(ctx) })
	s.goroutines.Go(func() { s.watch(ctx) })
	err := s.rove(ctx)
	s.stop()
	defer time.AfterFunc(s.o.Grace, cancel).Stop()
	defer time.AfterFunc(s.o.Grace+settleGrace, abandon).Stop()
	s.goroutines.Wait()
	s.releaseAll()
	s.rememberNow(context.WithoutCancel(ctx))
	return err
}

func (s *Scheduler) begun(work, attempts, settles context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.work, s.attempts, s.settles = work, attempts, settles
}

// start lets what was accepted before Run on its way.
func (s *Scheduler) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = true
	for _, b := range s.bins {
		s.advance(b)
	}
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
