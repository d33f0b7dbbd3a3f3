package relay

import "time"

// oldestFresh is for how long an answer about the oldest delivery of a bin stands. Rules may ask for
// each message, and a bin may have many flows.
const oldestFresh = time.Second

// oldest is since when the delivery waits that has waited longest of those that could go if there
// was a way: since its arrival if it is in memory, or since it was due if it is in the spool, where
// only that is known of it. Deferred ones wait for their own time, and do not count. Zero for none.
func (b *bin) oldest(now time.Time) time.Time {
	if now.Before(b.asked.Add(oldestFresh)) {
		return b.eldest
	}
	b.asked, b.eldest = now, time.Time{}
	for _, f := range b.flows {
		if len(f.queue) > 0 {
			b.eldest = earlier(b.eldest, f.queue[0].Message.Time())
		}
		if !f.next.After(now) {
			b.eldest = earlier(b.eldest, f.next)
		}
	}
	return b.eldest
}
