package spool

import (
	"context"
	"errors"
	"time"

	"postrider/relay"
)

// reclaimPause is the least time between two reclaims.
const reclaimPause = time.Minute

// reclaim gives the space of removed mail back to the disk when new mail is refused for
// want of it. Pebble frees space in the course of writing, and while no mail comes in too
// little is written for that.
func (s *Spool) reclaim(free int64) {
	if free >= s.o.MinFree || s.disk.check() != nil || s.broken() != nil || !s.removed.Load() {
		return
	}
	if !s.reclaiming.CompareAndSwap(false, true) {
		return
	}
	s.removed.Store(false)
	s.reclaims.Go(func() {
		defer s.reclaiming.Store(false)
		err := s.db.Flush()
		if err == nil {
			err = s.db.Compact(s.untilStop, []byte{spaceBody}, after([]byte{spaceBody}), false)
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			s.removed.Store(true)
			s.o.Fault(relay.Fault{Doing: "give the space of removed mail back to the disk", Err: err})
		}
		select {
		case <-s.stop:
		case <-time.After(reclaimPause):
		}
	})
}
