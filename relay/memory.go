package relay

// usage is what deliveries take in memory, in bytes: within the room of their bin, and beyond it.
type usage struct{ within, extra int64 }

func (u *usage) add(d *Delivery, sign int64) {
	if d.extra {
		u.extra += sign * footprint(d)
	} else {
		u.within += sign * footprint(d)
	}
}

func (u usage) sum() int64 { return u.within + u.extra }

// occupy counts a delivery that comes into memory.
func (b *bin) occupy(d *Delivery) {
	b.memory.add(d, +1)
	b.all.add(d, +1)
}

// vacate counts one that leaves.
func (b *bin) vacate(d *Delivery) {
	b.memory.add(d, -1)
	b.all.add(d, -1)
}

// footprint is roughly what a delivery takes in memory, in bytes, with its message if that is
// at hand.
func footprint(d *Delivery) int64 {
	n := 256 + 8*len(d.Recipients) + len(d.Last.Text)
	if d.message != nil {
		n += 512 + len(d.message.Header) + 128*len(d.message.Envelope.Recipients)
	}
	return int64(n)
}

// hasRoom says whether the bin may hold more in memory. The more is held in all, the less a
// bin may have of it, so that slow destinations leave room for those that come later; what
// has nothing is always given something.
func (s *Scheduler) hasRoom(b *bin) bool { return b.memory.sum() == 0 || s.room(b) > 0 }

// room is how many bytes more the bin may hold.
func (s *Scheduler) room(b *bin) int64 {
	return min(s.o.BinMemory, (s.o.Memory-s.memory.within)/4) - b.memory.within
}

// hasExtraRoom says whether a flow that has nothing in memory may have a delivery there though the bin is
// full: it is not to wait for those of others that fill it. A quarter as much memory is for that, in the same shares.
func (s *Scheduler) hasExtraRoom(b *bin) bool {
	return b.memory.extra < min(s.o.BinMemory, (s.o.Memory/4-s.memory.extra)/4)
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
	b.limits.giveUp(&b.wait)
	ds := b.unload()
	if b.pool != nil {
		b.pool.leave(b)
	}
	return ds
}
