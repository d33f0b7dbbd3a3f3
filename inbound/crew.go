package inbound

import (
	"sync"
	"sync/atomic"
)

// crewIdle is how many goroutines without a session are kept.
const crewIdle = 64

// crew runs sessions, on goroutines that have run others where some are idle: their stacks have grown
// already, which for a client that brings one message costs as much as a system call.
type crew struct {
	sessions, hands sync.WaitGroup
	idle            atomic.Int64
	next            chan runner
}

// runner is a session, as far as the crew is concerned.
type runner interface{ run() }

func newCrew() *crew { return &crew{next: make(chan runner)} }

// run runs a session. The server sees to it that there is none after dismiss: it waits for the doors before.
func (c *crew) run(s runner) {
	c.sessions.Add(1)
	select {
	case c.next <- s:
	default:
		c.hands.Go(func() { c.work(s) })
	}
}

func (c *crew) work(s runner) {
	for more := true; more; {
		c.serve(s)
		s = nil
		if c.idle.Add(1) <= crewIdle {
			s, more = <-c.next
		} else {
			more = false
		}
		c.idle.Add(-1)
	}
}

func (c *crew) serve(s runner) {
	defer c.sessions.Done()
	s.run()
}

// dismiss waits for the last session and for the crew to go home.
func (c *crew) dismiss() {
	c.sessions.Wait()
	close(c.next)
	c.hands.Wait()
}
