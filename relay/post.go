package relay

import (
	"context"
	"io"
)

// Post queues a message of our own making, such as a report. The policy is asked for the way
// and nothing else. With a nil error the message is on stable storage and the ID is its name.
func (r *Receiver) Post(ctx context.Context, e Envelope, content io.Reader) (ID, error) {
	t := r.Begin(&Origin{Greeting: r.o.Hostname, Protocol: "local"})
	t.message.Envelope, t.open = e, true
	draft, err := r.o.Spool.Create(ctx)
	if err != nil {
		return ID{}, err
	}
	defer draft.Discard()
	m, reply := t.copy(draft, content)
	if reply != nil {
		return ID{}, reply
	}
	for _, rcpt := range m.Envelope.Recipients {
		t.to = append(t.to, r.route(m, rcpt))
	}
	r.heedTLSRequired(m, t.to)
	unsigned := sign(ctx, r.o.Signers, m, draft.Body)
	if reply := t.commit(ctx, draft, m, deliveries(m, t.to, r.o.Now()), unsigned); reply != nil {
		return ID{}, reply
	}
	return m.ID, nil
}

// route is where a message of ours goes. Without a route it waits under a name of its own and is
// routed anew at each attempt, as all mail is.
func (r *Receiver) route(m *Message, to Recipient) Routing {
	routing, reply := r.o.Policy.Route(m, to)
	if reply != nil {
		return Routing{To: Destination{Route: "unrouted"}}
	}
	return routing
}
