package relay

import (
	"context"
	"iter"
	"slices"
	"strings"
	"time"
)

// History remembers what became of messages, for a time and within a size. It is written by
// Spool.Settle, in the same batch as what it tells of. All methods are safe for use by several
// goroutines.
type History interface {
	// Record keeps events that come with neither a settlement nor a commit: of a message that was
	// thrown away as it arrived. It is called once for a message. It need not be durable when it
	// returns.
	Record(ctx context.Context, m *Message, events ...Event) error
	// Life returns what is known of a message, in the queue or not; ErrNotFound when that is
	// nothing, or no more.
	Life(ctx context.Context, id ID) (*Life, error)
	// Find yields the messages that a query means, the latest arrival first. It costs time in
	// the number of days kept and of messages found, whatever the number of others.
	Find(ctx context.Context, q Query) iter.Seq2[*Life, error]
}

// Query says which messages are sought: those that meet all conditions that are set. One of the
// first three must be.
type Query struct {
	// MessageID is the Message-ID field's, with or without its brackets.
	MessageID string
	// Sender and Recipient are addresses as in the envelope, in any case.
	Sender, Recipient string
	// Since and Until bound the time of arrival; zero sets no bound.
	Since, Until time.Time
}

// Life is what is known of a message.
type Life struct {
	Facts
	// Events are what happened to its recipients, in order of time. Each recipient has at most
	// one that is final.
	Events []Event
	// Queued says that the message is still in the queue.
	Queued bool
}

// Facts are what a message was accepted with.
type Facts struct {
	ID         ID
	Received   time.Time
	Sender     string
	Recipients []string
	MessageID  string
	Subject    string
	Size       int64
	Listener   string
	// Client is the client's address, and User who had authenticated.
	Client, User string
	Tags         []string
	Trace        []Verdict
	// Signatures are the keys that we signed with, as "selector._domainkey.domain".
	Signatures []string
}

// Event is what happened to some recipients of a message.
type Event struct {
	At time.Time
	// What is the word of a Status, or of an operator's Action.
	What string
	// Recipients are indices into the message's.
	Recipients []int
	// Removed are recipients that rules took away before the message had them.
	Removed []string
	Reply   Reply
	Host    string
	// Attempts counts those so far.
	Attempts int
	// Connect and Transmit are where the time of the attempt went.
	Connect, Transmit time.Duration
	// Author and Reason are an operator's.
	Author, Reason string
}

// Final says that nothing more happens to the event's recipients.
func (e *Event) Final() bool {
	switch e.What {
	case Delivered.String(), Bounced.String(), Expired.String(), Deleted.String(), Discarded.String():
		return true
	}
	return false
}

// eventsRecorded bounds the deferrals of a delivery that are remembered, the first of which
// tell most.
const eventsRecorded = 30

// events are what an attempt, or what stood for one, made of its recipients. Those with one
// fate share an event.
func (a *Attempted) events(now time.Time) []Event {
	var events []Event
	for i, o := range a.Outcomes {
		if o.Status == Deferred && a.Delivery.Attempts >= eventsRecorded || i >= len(a.Delivery.Recipients) {
			continue
		}
		e := Event{
			At: now, What: o.Status.String(), Recipients: []int{a.Delivery.Recipients[i]}, Reply: o.Reply, Host: o.Host,
			Attempts: a.Delivery.Attempts, Connect: a.Connect, Transmit: a.Transmit,
		}
		if a.Host != "" {
			e.Attempts++
		}
		e.Reply.Err = nil
		if n := len(events); n > 0 && events[n-1].joins(&e) {
			events[n-1].Recipients = append(events[n-1].Recipients, e.Recipients...)
		} else {
			events = append(events, e)
		}
	}
	return events
}

func (e *Event) joins(f *Event) bool {
	return e.What == f.What && e.Reply == f.Reply && e.Host == f.Host
}

// FactsOf are the facts of a message.
func FactsOf(m *Message) Facts {
	f := Facts{
		ID: m.ID, Received: m.Received, Sender: m.Envelope.Sender.String(),
		MessageID: NormalMessageID(m.Field("Message-ID")), Subject: m.Field("Subject"), Size: m.Size,
		Listener: m.Origin.Listener, User: m.Origin.User, Tags: m.Tags, Trace: m.Trace, Signatures: signatures(m),
	}
	for _, r := range m.Envelope.Recipients {
		f.Recipients = append(f.Recipients, r.Address.String())
	}
	if m.Origin.Client.IsValid() {
		f.Client = m.Origin.Client.String()
	}
	return f
}

// NormalMessageID is a Message-ID without brackets and space, as it is remembered and sought.
func NormalMessageID(text string) string {
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(text), "<"), ">")
}

// signatures are the keys of the signatures that stand above our Received field: those are ours.
func signatures(m *Message) []string {
	const field = "dkim-signature:"
	var keys []string
	top, _, _ := strings.Cut(string(m.Header), "Received:")
	for _, part := range strings.Split(strings.ReplaceAll(top, "\r\n\t", " "), "\r\n") {
		if len(part) < len(field) || !strings.EqualFold(part[:len(field)], field) {
			continue
		}
		var domain, selector string
		for _, tag := range strings.Split(part[len(field):], ";") {
			name, value, _ := strings.Cut(tag, "=")
			switch strings.TrimSpace(name) {
			case "d":
				domain = strings.TrimSpace(value)
			case "s":
				selector = strings.TrimSpace(value)
			}
		}
		keys = append(keys, selector+"._domainkey."+domain)
	}
	return keys
}

// Matches says whether the message is one that is sought.
func (q *Query) Matches(l *Life) bool {
	f := &l.Facts
	if q.MessageID != "" && NormalMessageID(q.MessageID) != f.MessageID ||
		q.Sender != "" && !strings.EqualFold(q.Sender, f.Sender) ||
		!q.Since.IsZero() && f.Received.Before(q.Since) || !q.Until.IsZero() && !f.Received.Before(q.Until) {
		return false
	}
	if q.Recipient == "" {
		return true
	}
	sought := func(r string) bool { return strings.EqualFold(q.Recipient, r) }
	return slices.ContainsFunc(f.Recipients, sought) ||
		slices.ContainsFunc(l.Events, func(e Event) bool { return slices.ContainsFunc(e.Removed, sought) })
}
