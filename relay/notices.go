package relay

import (
	"bytes"
	"context"
	"io"
)

// returnWhole is the largest message that a failure notice returns in full unless the
// sender asked for headers only.
const returnWhole = 50 << 10

// notices adds to the settlement what the sender is to be told of the attempt: one notice, of
// the recipients that failed, those that are late for the first time, and those whose success
// nobody else will tell of (RFC 3464 section 2.1). It returns what to tell the observer once
// the settlement is made.
func (s *Scheduler) notices(ctx context.Context, settlement *Settlement, m *Message, done Attempted) []Notified {
	n := &dsn{
		hostname: s.o.Hostname, about: m, outcomes: s.toTell(settlement, m, done), now: s.o.Now(),
		until: s.live().Retry.end(&done.Delivery, m.Received),
	}
	if len(n.outcomes) == 0 {
		return nil
	}
	if len(n.of(delayed)) > 0 {
		settlement.Then[0].Warned = true
	}
	return []Notified{s.notify(ctx, settlement, n)}
}

// toTell picks the outcomes that the sender wants to hear of (RFC 3461 section 4.1), and the
// failures that nobody can be told of, which are counted. A next hop that takes on requests
// for notices tells of success itself (section 5.2.2).
func (s *Scheduler) toTell(settlement *Settlement, m *Message, done Attempted) []Outcome {
	warn := len(settlement.Then) > 0 && !done.Delivery.Warned && s.live().Retry.late(m.Received, s.o.Now())
	unreturnable := m.Envelope.Sender.IsNull()
	var list []Outcome
	for _, o := range done.Outcomes {
		wanted := false
		switch o.Status {
		case Bounced, Expired:
			wanted = unreturnable || o.Recipient.Wants(NotifyFailure)
		case Deferred:
			wanted = warn && o.Recipient.Wants(NotifyDelay)
		case Delivered:
			wanted = !unreturnable && !done.DSN && o.Recipient.Wants(NotifySuccess)
		}
		if wanted {
			list = append(list, o)
		}
	}
	return list
}

// notify adds one notice. What came with a null reverse-path is itself a notice or wants
// none: nothing is sent about it, so notices never loop (RFC 5321 section 6.1).
func (s *Scheduler) notify(ctx context.Context, settlement *Settlement, n *dsn) Notified {
	to := n.about.Envelope.Sender
	told := Notified{About: n.about.ID, To: to, Status: n.status()}
	if to.IsNull() {
		told.Dropped = true
		return told
	}
	s.attachOriginal(ctx, n)
	m, body := n.message(s.o.IDs.Next())
	open := func() (io.ReadSeekCloser, error) { return memoryBody{bytes.NewReader(body)}, nil }
	if err := sign(ctx, s.live().Signers, m, open); err != nil {
		s.o.Observer.Faulted(Fault{Doing: "sign a notice", Message: m.ID, Err: err})
	}
	settlement.Notices = append(settlement.Notices, Notice{
		Message: m, Body: body, Deliveries: deliveries(m, []Routing{s.noticeRoute(m)}, n.now),
	})
	told.Notice = m.ID
	return told
}

// attachOriginal reads the message to be returned whole where that is wanted and it is small.
// Should it not be readable, the header section serves.
func (s *Scheduler) attachOriginal(ctx context.Context, n *dsn) {
	// REQUIRETLS is as good as RET=HDRS (RFC 8689 section 5).
	if n.worst() != failed || n.about.Envelope.Return == ReturnHeaders || n.about.Envelope.RequireTLS || n.about.Size > returnWhole {
		return
	}
	body, err := s.o.Spool.Body(ctx, n.about)
	if err != nil {
		return
	}
	defer body.Close()
	if original, err := io.ReadAll(body); err == nil {
		n.original, n.whole = original, true
	}
}

// noticeRoute is where a notice goes. Without a route it waits under a name of its own and
// is routed anew at each attempt, as all mail is.
func (s *Scheduler) noticeRoute(m *Message) Routing {
	routing, reply := s.live().Policy.Route(m, m.Envelope.Recipients[0])
	if reply != nil {
		return Routing{To: Destination{Route: "unrouted"}}
	}
	// What a route throws away goes when its turn comes: a notice has a delivery always.
	routing.Discard = false
	return routing
}

// memoryBody is a body held in memory.
type memoryBody struct{ *bytes.Reader }

func (memoryBody) Close() error { return nil }
