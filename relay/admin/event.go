package admin

import (
	"time"

	"postrider/relay"
)

// Event is a business fact as operators see it happen: one for each recipient where a fact
// is about several. Fields that do not apply are left out.
type Event struct {
	Time time.Time `json:"time"`
	// Event is a word of EventWords.
	Event string `json:"event"`
	ID    string `json:"id,omitempty"`
	From  string `json:"from,omitempty"`
	To    string `json:"to,omitempty"`
	// Recipients is how many an accepted message has.
	Recipients  int    `json:"recipients,omitempty"`
	Size        int64  `json:"size,omitempty"`
	MessageID   string `json:"message_id,omitempty"`
	Destination string `json:"destination,omitempty"`
	// Listener, Client and User are where a message came from.
	Listener string `json:"listener,omitempty"`
	Client   string `json:"client,omitempty"`
	User     string `json:"user,omitempty"`
	// Stage and Reason say what was refused, and why, in a word.
	Stage  string `json:"stage,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Host, Addr and TLS describe the session with a next hop.
	Host string `json:"host,omitempty"`
	Addr string `json:"addr,omitempty"`
	TLS  string `json:"tls,omitempty"`
	// Attempt counts from 1.
	Attempt  int    `json:"attempt,omitempty"`
	Code     int    `json:"code,omitempty"`
	Enhanced string `json:"enhanced,omitempty"`
	Reply    string `json:"reply,omitempty"`
	Class    string `json:"class,omitempty"`
	// Cause is what is known to us beyond the reply.
	Cause string `json:"cause,omitempty"`
	// QueueMS, ConnectMS and TransmitMS are where the time went, in milliseconds.
	QueueMS    int64 `json:"queue_ms,omitempty"`
	ConnectMS  int64 `json:"connect_ms,omitempty"`
	TransmitMS int64 `json:"transmit_ms,omitempty"`
	// Due is when a deferred recipient is tried again, or a closed way.
	Due time.Time `json:"due,omitzero"`
	// Notice is the message in which a sender was told.
	Notice string `json:"notice,omitempty"`
	// Site is the way that closed or opened.
	Site string `json:"site,omitempty"`
	// Doing is what failed of ours.
	Doing string `json:"doing,omitempty"`
	// Lost is how many events this reader has missed for being slow.
	Lost int64 `json:"lost,omitempty"`
}

// EventLost is the word of the event that tells a reader what it has missed.
const EventLost = "lost"

// EventWords are the kinds of events.
func EventWords() []string {
	words := []string{"accepted", "refused"}
	for _, s := range relay.Statuses() {
		words = append(words, s.String())
	}
	return append(words, "held", "notified", "notice dropped", "unreachable", "reachable", "fault", EventLost)
}

func (e *Event) reply(r relay.Reply) {
	e.Code, e.Enhanced, e.Reply, e.Class = r.Code, r.Enhanced.String(), r.Text, r.Class.String()
	if r.Err != nil {
		e.Cause = r.Err.Error()
	}
}

func (e *Event) origin(o *relay.Origin) {
	e.Listener, e.User = o.Listener, o.User
	if o.Client.IsValid() {
		e.Client = o.Client.String()
	}
}

func acceptedEvent(a *relay.Accepted) Event {
	m := a.Message
	e := Event{
		Event: "accepted", ID: m.ID.String(), From: m.Envelope.Sender.String(), Recipients: len(m.Envelope.Recipients),
		Size: m.Size, MessageID: m.Field("Message-ID"),
	}
	e.origin(&m.Origin)
	if len(m.Envelope.Recipients) == 1 {
		e.To = m.Envelope.Recipients[0].Address.String()
	}
	if len(a.Destinations) == 1 {
		e.Destination = a.Destinations[0].String()
	}
	if a.Unsigned != nil {
		e.Cause = "not signed: " + a.Unsigned.Error()
	}
	return e
}

func refusedEvent(r *relay.Refused) Event {
	e := Event{Event: "refused", Stage: r.Stage, Reason: string(r.Reason), From: r.Sender.String(), To: r.Recipient.String()}
	e.origin(r.Origin)
	if r.Login != "" {
		e.User = r.Login
	}
	e.reply(*r.Reply)
	return e
}

// attemptedEvents gives one event for each recipient.
func attemptedEvents(a *relay.Attempted) []Event {
	events := make([]Event, 0, len(a.Outcomes))
	for i := range a.Outcomes {
		o := &a.Outcomes[i]
		e := Event{
			Event: o.Status.String(), ID: a.Delivery.Message.String(), To: o.Recipient.Address.String(),
			Destination: a.Delivery.To.String(), Host: o.Host, Attempt: a.Delivery.Attempts + 1,
			QueueMS: a.Queue.Milliseconds(), ConnectMS: a.Connect.Milliseconds(), TransmitMS: a.Transmit.Milliseconds(),
		}
		if a.Message != nil {
			e.From = a.Message.Envelope.Sender.String()
			e.User = a.Message.Origin.User
		}
		if o.Host == a.Host {
			e.Addr, e.TLS = a.Addr, a.TLS
		}
		if o.Status == relay.Deferred {
			e.Due = a.Due
		}
		e.reply(o.Reply)
		events = append(events, e)
	}
	return events
}

// heldEvents gives one event for each recipient. The cause is why it is held.
func heldEvents(h *relay.Held) []Event {
	d, m := &h.Delivery, h.Message
	events := make([]Event, 0, len(d.Recipients))
	for _, k := range d.Recipients {
		events = append(events, Event{
			Event: "held", ID: d.Message.String(), From: m.Envelope.Sender.String(), To: m.Envelope.Recipients[k].Address.String(),
			Destination: d.To.String(), User: m.Origin.User, Cause: d.Held,
		})
	}
	return events
}

func notifiedEvent(n *relay.Notified) Event {
	e := Event{Event: "notified", ID: n.About.String(), To: n.To.String(), Reason: n.Status.String()}
	if n.Dropped {
		e.Event = "notice dropped"
	} else {
		e.Notice = n.Notice.String()
	}
	return e
}

func gatedEvent(g *relay.Gated) Event {
	if !g.Closed {
		return Event{Event: "reachable", Site: g.Name}
	}
	e := Event{Event: "unreachable", Site: g.Name, Due: g.Until}
	e.reply(g.Reply)
	return e
}

func faultEvent(f *relay.Fault) Event {
	e := Event{Event: "fault", Doing: f.Doing}
	if f.Err != nil {
		e.Cause = f.Err.Error()
	}
	if f.Message != (relay.ID{}) {
		e.ID = f.Message.String()
	}
	return e
}
