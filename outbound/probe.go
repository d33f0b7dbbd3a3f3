package outbound

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// probesAtOnce is how many addresses are probed at a time, and probesWaiting how many more may wait.
	probesAtOnce  = 16
	probesWaiting = 64
	// probeSession bounds the opening of a session that is a probe.
	probeSession = time.Minute
)

// probes are tries of addresses that failed before, made in the background while others take the mail.
type probes struct {
	wanted chan probe
	// on says that somebody makes them.
	on atomic.Bool
}

type probe struct {
	route *Route
	to    remote
}

func newProbes() *probes { return &probes{wanted: make(chan probe, probesWaiting)} }

// ask has the address tried soon. It says no where nobody does that now.
func (p *probes) ask(r *Route, to remote) bool {
	if !p.on.Load() {
		return false
	}
	select {
	case p.wanted <- probe{r, to}:
		return true
	default:
		return false
	}
}

// probe makes the probes that are asked for, until ctx ends.
func (t *Transport) probe(ctx context.Context) {
	t.probes.on.Store(true)
	defer t.probes.on.Store(false)
	var workers sync.WaitGroup
	defer workers.Wait()
	for range probesAtOnce {
		workers.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case p := <-t.probes.wanted:
					t.try(ctx, p)
				}
			}
		})
	}
}

// try opens a session and ends it. Whether it could is noted on the way.
func (t *Transport) try(ctx context.Context, p probe) {
	if p.route.isOver() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, probeSession)
	defer cancel()
	if c, _ := t.open(ctx, p.route, p.to, t.o.Timeouts.Doubtful); c != nil {
		c.Close()
	}
}

// candidates are the addresses that a Dial tries, the best first. One that failed, and whose time at the
// end of the list is up, is probed in the background, and is back in its place when that went well.
// Where nobody probes, or no other address is well, it is tried in its place.
func (t *Transport) candidates(set *hostSet) []remote {
	standings := make(map[remote]standing)
	others := false
	for _, to := range set.remotes() {
		s := t.health.standing(set.route.place(to.addr))
		standings[to] = s
		others = others || s == standingWell
	}
	return set.order(t.o.Rand, func(to remote) bool {
		switch standings[to] {
		case standingWell:
			return false
		case standingDue:
			return others && t.probes.ask(set.route, to)
		}
		return true
	})
}
