package relay

// crew runs functions in goroutines, a bounded number at once, in the order of asking. It
// is guarded by its owner's mutex, which lock and unlock reach.
type crew struct {
	most, running int
	waiting       []func()
	// spawn starts a goroutine that its owner waits for.
	spawn func(func())
	lock  func()
	// unlock releases what lock took.
	unlock func()
}

// run starts f, now or when its turn comes. The owner's mutex is held.
func (c *crew) run(f func()) {
	if c.running == c.most {
		c.waiting = append(c.waiting, f)
		return
	}
	c.running++
	c.spawn(func() { c.work(f) })
}

func (c *crew) work(f func()) {
	for f != nil {
		f()
		f = c.next()
	}
}

func (c *crew) next() func() {
	c.lock()
	defer c.unlock()
	if len(c.waiting) == 0 {
		c.running--
		return nil
	}
	f := c.waiting[0]
	c.waiting[0] = nil
	c.waiting = c.waiting[1:]
	return f
}
