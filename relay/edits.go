package relay

import (
	"cmp"
	"fmt"
	"slices"
)

// Edits are what rules want done to a message. What concerns recipients holds, at the
// mail stage, for all that come; at the rcpt stage for the one that was asked about; at
// the data stage for all there are.
type Edits struct {
	// Held says why the recipients' mail is kept until an operator releases it; "" for no reason.
	Held string
	// Discard throws the recipients' mail away: it is accepted and goes nowhere.
	Discard bool
	// Route is the name of a route that the recipients' mail takes in place of the one found.
	Route string
	// Recipients, where it is not nil, take the place of the recipients that were asked
	// about. They are routed, and not asked about again.
	Recipients []Recipient
	// Removed are recipients that no longer are among those. Who was asked about and is missing in
	// Recipients is taken to be, whether or not it is in here.
	Removed []Recipient
	// Ends are the replies that stand for what became of those who were removed, by address; see
	// Redirected. Who has none was thrown away, or redirected where there are others.
	Ends map[Address]Reply

	// Sender, where it is not nil, is the reverse-path from then on.
	Sender *Address
	// Header are changes of the header section, in order. They are made at the data stage.
	Header []HeaderEdit
	// Tags mark the message.
	Tags []string
	// Priority, where it is not nil, is what the message competes with, from -9 to 9.
	Priority *int8
	// Flow is whom the message competes as; "" leaves that to the sender's identity.
	Flow Flow
	// Encryption is what the next hop's session must have at least.
	Encryption Encryption
	// SignWith are names of keys; see Message.SignWith.
	SignWith []string
}

// Encryption is what a rule asks of the sessions that a message is sent over. A route
// that asks for more has its way.
type Encryption uint8

// The degrees of Encryption.
const (
	// EncryptionByRoute leaves it to the route.
	EncryptionByRoute Encryption = iota
	// EncryptionRequired wants TLS.
	EncryptionRequired
	// EncryptionVerified wants TLS with a host that proves its name.
	EncryptionVerified
)

// take does to the message what rules want done to it as a whole, and remembers what has to wait
// for its header section or its recipients.
func (t *Transaction) take(m *Message, e *Edits) {
	if e == nil {
		return
	}
	if e.Sender != nil {
		m.Envelope.Sender = *e.Sender
	}
	if e.Priority != nil {
		m.Envelope.Priority = *e.Priority
	}
	m.Envelope.Encryption = max(m.Envelope.Encryption, e.Encryption)
	for _, tag := range e.Tags {
		if !slices.Contains(m.Tags, tag) {
			m.Tags = append(m.Tags, tag)
		}
	}
	for _, name := range e.SignWith {
		if !slices.Contains(m.SignWith, name) {
			m.SignWith = append(m.SignWith, name)
		}
	}
	t.edits.Header = append(t.edits.Header, e.Header...)
	t.edits.Flow = cmp.Or(e.Flow, t.edits.Flow)
}

// takeAll is take at a stage where what is said of recipients holds for all of them.
func (t *Transaction) takeAll(m *Message, e *Edits) {
	t.take(m, e)
	if e == nil {
		return
	}
	t.edits.Held = cmp.Or(t.edits.Held, e.Held)
	t.edits.Discard = t.edits.Discard || e.Discard
	t.edits.Route = cmp.Or(e.Route, t.edits.Route)
}

// admit adds a recipient, or those that the rules put in its place.
func (t *Transaction) admit(rcpt Recipient, e *Edits) *Reply {
	list := []Recipient{rcpt}
	own := Edits{}
	if e != nil {
		own = *e
		if e.Recipients != nil {
			list = e.Recipients
		}
	}
	before := *t
	own.Header = without(own.Header, t.edits.Header[min(t.common, len(t.edits.Header)):])
	t.take(&t.message, &own)
	if own.Discard || t.edits.Discard {
		t.taken++
		t.departed = append(t.departed, departed{rcpt, replyDiscarded})
		return nil
	}
	to := make([]Routing, len(list))
	for i := range list {
		list[i].Route = cmp.Or(list[i].Route, own.Route, t.edits.Route)
		routing, reply := t.o.Policy.Route(&t.message, list[i])
		if reply == nil {
			reply = t.suppressed(list[i], routing)
		}
		if reply != nil {
			before.message.Trace = t.message.Trace
			*t = before // what was wanted for a recipient that is refused does not happen
			return refuseRoute(list[i], reply)
		}
		routing.Held = cmp.Or(own.Held, t.edits.Held, routing.Held)
		to[i] = routing
	}
	for i := range list {
		t.add(list[i], to[i], own.Held)
	}
	t.taken++
	t.part([]Recipient{rcpt}, &own)
	return nil
}

// without leaves out the changes of the header section that have been noted for another recipient:
// it is one section, and each change is made to it once.
func without(edits, noted []HeaderEdit) []HeaderEdit {
	return slices.DeleteFunc(slices.Clone(edits), func(e HeaderEdit) bool { return slices.Contains(noted, e) })
}

// add adds a recipient that the message does not have yet. Held says why a rule keeps its mail.
func (t *Transaction) add(rcpt Recipient, to Routing, held string) {
	if held != "" {
		if t.held == nil {
			t.held = make(map[Address]string)
		}
		t.held[rcpt.Address] = held
	}
	if !hasRecipient(t.message.Envelope.Recipients, rcpt.Address) {
		t.message.Envelope.Recipients = append(t.message.Envelope.Recipients, rcpt)
		t.to = append(t.to, to)
	}
}

func hasRecipient(list []Recipient, a Address) bool {
	return slices.ContainsFunc(list, func(r Recipient) bool { return r.Address == a })
}

// refuseRoute turns the want of a route, for which mail in the queue would wait, into a refusal.
func refuseRoute(rcpt Recipient, reply *Reply) *Reply {
	if reply.Reason != ReasonRoute {
		return reply
	}
	return NewReply(550, EnhancedCode{5, 7, 1}, fmt.Sprintf("<%s>: No route for this recipient", rcpt.Address)).For(ReasonRoute).Because(reply)
}

// amend does what the rules want done once the message is there. Its recipients are routed
// anew where that may have changed their route, as may tags that came with a later recipient.
func (t *Transaction) amend(m *Message, e *Edits) *Reply {
	t.takeAll(m, e)
	m.edit(t.edits.Header)
	t.edits.Header = nil
	if e == nil && len(m.Tags) == 0 {
		return nil
	}
	if e == nil {
		e = &Edits{}
	}
	before := m.Envelope.Recipients
	if e.Recipients != nil {
		m.Envelope.Recipients = nil
		for _, rcpt := range e.Recipients {
			if !hasRecipient(m.Envelope.Recipients, rcpt.Address) {
				m.Envelope.Recipients = append(m.Envelope.Recipients, rcpt)
			}
		}
	} else {
		m.Envelope.Recipients = slices.Clone(m.Envelope.Recipients)
	}
	t.holdInstead(before, m.Envelope.Recipients)
	t.part(before, e)
	return t.routeAll(m, e.Route)
}

// holdInstead holds the mail of those who have come in the place of a recipient whose mail is held.
func (t *Transaction) holdInstead(before, now []Recipient) {
	why := ""
	for _, r := range before {
		if !hasRecipient(now, r.Address) {
			why = cmp.Or(why, t.held[r.Address])
		}
	}
	for _, r := range now {
		if why != "" && !hasRecipient(before, r.Address) {
			t.held[r.Address] = why
		}
	}
}

// routeAll asks for the way of each recipient. A rule may have named the route.
func (t *Transaction) routeAll(m *Message, route string) *Reply {
	t.to = make([]Routing, len(m.Envelope.Recipients))
	for i := range m.Envelope.Recipients {
		rcpt := &m.Envelope.Recipients[i]
		rcpt.Route = cmp.Or(route, rcpt.Route, t.edits.Route)
		if t.edits.Discard {
			t.to[i] = Routing{Discard: true}
			continue
		}
		routing, reply := t.o.Policy.Route(m, *rcpt)
		if reply != nil {
			return refuseRoute(*rcpt, reply)
		}
		routing.Held = cmp.Or(t.held[rcpt.Address], t.edits.Held, routing.Held)
		t.to[i] = routing
	}
	return nil
}
