package relay

import (
	"context"
	"errors"
	"time"
)

// rerouteStep is after how many messages Reroute says how far it is.
const rerouteStep = 1000

// Reroute looks at all that is queued and moves what the policy now sends elsewhere, whether
// the gates on its way are open or not. It is for after a change of the policy; without it mail
// moves when its next attempt is due. Tell, where it is not nil, hears now and then and at the
// end how many messages have been looked at and how many of them went elsewhere. What is under
// way or held is left alone.
func (s *Scheduler) Reroute(ctx context.Context, tell func(seen, moved int)) error {
	seen, moved := 0, 0
	s.eachArrived(ctx, ID{}, IDAt(s.o.Now().Add(time.Second)), func(id ID) {
		if s.strays(ctx, id) {
			moved++
			s.eachClaimed(ctx, id, func(d Delivery) {
				if s.prepare(d) != nil {
					s.giveUp(d)
				}
			})
		}
		if seen++; tell != nil && seen%rerouteStep == 0 {
			tell(seen, moved)
		}
	})
	if tell != nil {
		tell(seen, moved)
	}
	return ctx.Err()
}

// strays says that a delivery of the message is in another place than the policy would put it.
func (s *Scheduler) strays(ctx context.Context, id ID) bool {
	ds, err := s.o.Spool.Deliveries(ctx, id)
	if err != nil || len(ds) == 0 {
		return false
	}
	m, err := s.o.Spool.Message(ctx, id)
	if err != nil {
		if !errors.Is(err, ErrNotFound) && ctx.Err() == nil {
			s.o.Observer.Faulted(Fault{Doing: "look for the message's route", Message: id, Err: err})
		}
		return false
	}
	for _, d := range ds {
		if d.Held == "" && !d.Released && d.Route == "" && d.fits(m) && s.goesElsewhere(&d, m) {
			return true
		}
	}
	return false
}

func (s *Scheduler) goesElsewhere(d *Delivery, m *Message) bool {
	for _, k := range d.Recipients {
		routing, reply := s.o.Policy.Route(m, m.Envelope.Recipients[k])
		if reply == nil && routing != (Routing{To: d.To}) {
			return true
		}
	}
	return false
}
