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
	sessions sync.WaitGroup
	idle     atomic.Int64
	next     chan *session
}

func newCrew() *crew { return &crew{next: make(chan *session)} }

// run runs a session. There is none after dismiss.
func (c *crew) run(s *session) {
	c.sessions.Add(1)
	select {
	case c.next <- s:
	default:
		go c.work(s)
	}
}

func (c *crew) work(s *session) {
	for more := true; more; {
		s.run()
		c.sessions.Done()
		s = nil
		if c.idle.Add(1) <= crewIdle {
			s, more = <-c.next
		} else {
			more = false
		}
		c.idle.Add(-1)
	}
}

// dismiss waits for the last session and sends the crew home.
func (c *crew) dismiss() {
	c.sessions.Wait()
	close(c.next)
}
