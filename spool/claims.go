package spool

import (
	"context"
	"sync"

	"postrider/relay"
)

// claims are the deliveries that somebody holds, each with the key under which it lies.
// They are in memory only: a crash releases them.
type claims struct {
	mu   sync.Mutex
	held map[relay.DeliveryID]string
	// left are those whose holder has gone, while the batch that ends them waits for space. They
	// are nobody's to release.
	left map[relay.DeliveryID]struct{}
	// arriving counts those that are held for what is on its way into the queue.
	arriving int
}

func (c *claims) init() {
	c.held = make(map[relay.DeliveryID]string)
	c.left = make(map[relay.DeliveryID]struct{})
}

// Claims counts the deliveries that callers hold. What is on its way into the queue is not
// among them, nor what a settlement that waits for space will end.
func (s *Spool) Claims() int {
	s.claims.mu.Lock()
	defer s.claims.mu.Unlock()
	return len(s.claims.held) - len(s.claims.left) - s.claims.arriving
}

// hold claims all deliveries of an arrival, or none where one of them is claimed. Arrived ends that.
func (c *claims) hold(places []placed) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, p := range places {
		if _, ok := c.held[p.id]; ok {
			for _, taken := range places[:i] {
				delete(c.held, taken.id)
			}
			return false
		}
		c.held[p.id] = p.key
	}
	c.arriving += len(places)
	return true
}

// arrived says that so many deliveries are no longer on their way: each is gone, free, or its
// caller's.
func (c *claims) arrived(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.arriving -= n
}

// take claims a delivery unless it is claimed.
func (c *claims) take(id relay.DeliveryID, key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.held[id]; ok {
		return false
	}
	c.held[id] = key
	return true
}

// key gives the key of a claimed delivery.
func (c *claims) key(id relay.DeliveryID) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key, ok := c.held[id]
	return key, ok
}

// mine gives the key of a claimed delivery to the one who holds it.
func (c *claims) mine(id relay.DeliveryID) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, left := c.left[id]; left {
		return "", false
	}
	key, ok := c.held[id]
	return key, ok
}

// leave leaves a claimed delivery to the batch that ends it.
func (c *claims) leave(id relay.DeliveryID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left[id] = struct{}{}
}

func (c *claims) drop(id relay.DeliveryID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.held, id)
	delete(c.left, id)
}

// messageLocks serialise what changes the set of a message's deliveries, so that the last
// one out knows that it is.
// A Settle that waits for a full disk keeps its lock, so those who want it may give up.
type messageLocks [256]chan struct{}

func (l *messageLocks) init() {
	for i := range l {
		l[i] = make(chan struct{}, 1)
	}
}

func (l *messageLocks) lock(ctx context.Context, id relay.ID) (unlock func(), err error) {
	unlock, ok := l.lockUnless(ctx.Done(), id)
	if !ok {
		return nil, ctx.Err()
	}
	return unlock, nil
}

// lockUnless waits for the lock until the channel is closed.
func (l *messageLocks) lockUnless(done <-chan struct{}, id relay.ID) (unlock func(), ok bool) {
	mu := l[id[len(id)-1]]
	select {
	case mu <- struct{}{}:
		return func() { <-mu }, true
	case <-done:
		return nil, false
	}
}
