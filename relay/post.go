package relay

import (
	"context"
	"io"
)

// Post queues a message of our own making, such as a report. The policy is asked for the way
// and nothing else. With a nil error the message is on stable storage and the ID is its name.
func (r *Receiver) Post(ctx context.Context, e Envelope, content io.Reader) (ID, error) {
	t := r.Begin(&Origin{Greeting: r.live().Hostname, Protocol: "local"})
	t.message.Envelope, t.open = e, true
	draft, err := t.o.Spool.Create(ctx)
	if err != nil {
		return ID{}, err
	}
	defer draft.Discard()
	m, reply := t.copy(draft, content)
	if reply != nil {
		return ID{}, reply
	}
	for _, rcpt := range m.Envelope.Recipients {
		t.to = append(t.to, t.route(m, rcpt))
	}
	t.heedTLSRequired(m, t.to)
	unsigned := sign(ctx, t.o.Signers, m, draft.Body)
	if reply := t.commit(ctx, draft, m, deliveries(m, t.to, t.o.Now()), unsigned); reply != nil {
		return ID{}, reply
	}
	return m.ID, nil
}

// route is where a message of ours goes. Without a route it waits under a name of its own and is
// routed anew at each attempt, as all mail is.
func (t *Transaction) route(m *Message, to Recipient) Routing {
	routing, reply := t.o.Policy.Route(m, to)
	if reply != nil {
		return Routing{To: Destination{Route: "unrouted"}}
	}
	return routing
}
