package relay

import (
	"errors"
	"slices"
	"time"
)

// settlePause is the wait before a settle that failed is tried again.
const settlePause = time.Second

// settle turns an attempt's replies into outcomes and records them as one batch: delivered
// recipients leave, deferred ones get their next due time, and the sender's notice about
// failed ones enters the queue.
func (s *Scheduler) settle(d Delivery, m *Message, a Attempt, connect time.Duration) {
	now := s.o.Now()
	done := Attempted{
		Delivery: d, Message: m, Outcomes: s.outcomes(d, m, a, now),
		Host: a.Host, Addr: a.Addr, TLS: a.TLS, Ambiguous: a.Ambiguous, DSN: a.DSN, EightBit: a.EightBit,
		Queue: max(now.Sub(d.Due)-connect-a.Transmit, 0), Connect: connect, Transmit: a.Transmit,
	}
	settlement := Settlement{Delivery: d, Message: m}
	if next, ok := s.deferred(d, m, done.Outcomes, now); ok {
		done.Due = next.Due
		settlement.Then = []Delivery{next}
	}
	settlement.Events = done.events(now)
	about := s.notices(s.settles, &settlement, m, done)
	if !s.finish(settlement) {
		return
	}
	s.o.Observer.Attempted(done)
	for _, n := range about {
		s.o.Observer.Notified(n)
	}
}

// outcomes says what each reply means for its recipient.
func (s *Scheduler) outcomes(d Delivery, m *Message, a Attempt, now time.Time) []Outcome {
	expired := s.live().Retry.expired(&d, m.Received, now)
	outcomes := make([]Outcome, len(d.Recipients))
	for i, k := range d.Recipients {
		o := Outcome{Recipient: m.Envelope.Recipients[k], Reply: a.Replies[i], Status: Deferred, Host: a.Host}
		if a.Hosts != nil {
			o.Host = a.Hosts[i]
		}
		switch {
		case o.Reply.Positive():
			o.Status = Delivered
		case o.Reply.Permanent() && o.Reply.Class.Bounces():
			o.Status = Bounced
		case expired:
			o.Status = Expired
		}
		outcomes[i] = o
	}
	return outcomes
}

// deferred is what remains of the delivery after the attempt.
func (s *Scheduler) deferred(d Delivery, m *Message, outcomes []Outcome, now time.Time) (Delivery, bool) {
	if !slices.ContainsFunc(outcomes, func(o Outcome) bool { return o.Status == Deferred }) {
		return Delivery{}, false // as a rule
	}
	next := d
	next.Recipients, next.Claimed, next.message = nil, false, nil
	next.Attempts++
	// Recipients that were deferred for different reasons come back together, at the
	// earliest of their times.
	chance, least := s.o.Chance(), s.live().Retry.MaxAge
	for i, o := range outcomes {
		if o.Status == Deferred {
			next.Recipients = append(next.Recipients, d.Recipients[i])
			next.Last = o.Reply
			next.Last.Err = nil
			least = min(least, s.live().Retry.wait(o.Reply.Class, next.Attempts, chance))
		}
	}
	next.ranked()
	next.Due = now.Add(least)
	if end := s.live().Retry.end(&d, m.Received); next.Due.After(end) {
		next.Due = end
	}
	return next, true
}

// expire gives up a delivery that is too old, with the last reply as the reason.
func (s *Scheduler) expire(d Delivery, m *Message) {
	reply := d.Last
	if reply.Text == "" {
		reply = Reply{Code: 451, Enhanced: EnhancedCode{4, 4, 7}, Text: "Message expired before it could be delivered"}
		if why := s.obstacle(d.To); why.Text != "" {
			reply = why
		}
	}
	s.settle(d, m, failAll(d, reply), 0)
}

// obstacle is why the gate on the way to a destination is closed. It is a temporary reply: it
// was not given to the mail that waits.
func (s *Scheduler) obstacle(to Destination) Reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	var why Reply
	switch b := s.bins[to]; {
	case b == nil:
	case !b.gate.open():
		why = b.gate.reply
	case b.pool != nil:
		why = b.pool.gate.reply
	}
	if !why.Temporary() {
		return Reply{}
	}
	return why
}

// finish makes the settlement and tells the bins. While the spool cannot take it, it is tried
// again and again: the claim stays, so nothing is attempted twice in this process. It gives
// up only when the process stops; the attempt is then repeated after the next start. A
// delivery that is not there any more was set aside or deleted meanwhile, and nothing
// remains to be done about it.
func (s *Scheduler) finish(settlement Settlement) bool {
	for {
		err := s.o.Spool.Settle(s.settles, settlement)
		if err == nil {
			break
		}
		s.o.Observer.Faulted(Fault{Doing: "settle the delivery", Message: settlement.Delivery.Message, Err: err})
		if errors.Is(err, ErrNotFound) {
			s.o.Spool.Release(settlement.Delivery)
			s.landed(settlement.Delivery)
			return false
		}
		select {
		case <-time.After(settlePause):
		case <-s.settles.Done():
			return false
		}
	}
	remains := settlement.Then
	for _, n := range settlement.Notices {
		remains = append(remains, n.Deliveries...)
	}
	s.landed(settlement.Delivery, remains...)
	return true
}

// giveUpFor releases a delivery and looks at its flow again after the pause.
func (s *Scheduler) giveUpFor(d Delivery, pause time.Duration) {
	s.o.Spool.Release(d)
	d.Due = s.o.Now().Add(pause)
	s.landed(d, d)
}
