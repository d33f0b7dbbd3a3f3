package relay

// push gives the bin deliveries that are claimed.
func (s *Scheduler) push(b *bin, f *flow, ds ...Delivery) {
	for _, d := range ds {
		s.memory += footprint(d)
	}
	b.push(f, ds...)
}

// reserveShare is the part of the memory for deliveries, one in so many, that is kept for flows with nothing
// there, of bins that have no room for more.
const reserveShare = 8

// hasRoom says whether the bin may hold more in memory. The more is held in all, the less a
// bin may have of it, so that slow destinations leave room for those that come later; what
// has nothing is always given something.
func (s *Scheduler) hasRoom(b *bin) bool { return b.memory == 0 || s.room(b) > 0 }

// room is how many bytes more the bin may hold.
func (s *Scheduler) room(b *bin) int64 {
	return min(s.o.BinMemory, (s.o.Memory-s.o.Memory/reserveShare-s.memory)/4) - b.memory
}

// hasReserve says whether a flow that has nothing in memory may have a delivery there, be there room in the bin
// or not: it is not to wait for those of others that fill it.
func (s *Scheduler) hasReserve() bool { return s.memory < s.o.Memory }

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
		b.pool.leave(b)
	}
	return ds
}
