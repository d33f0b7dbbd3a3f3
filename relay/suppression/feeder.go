package suppression

import (
	"strings"

	"postrider/relay"
)

// Feeder is an Observer that puts those on the list of whom a next hop says that there are none of
// that name.
type Feeder struct {
	relay.Observers // nobody: all other facts are of no use here
	list            *List
}

var _ relay.Observer = Feeder{}

// Feeder feeds the list.
func (l *List) Feeder() Feeder { return Feeder{list: l} }

// Attempted looks for refusals of recipients.
func (f Feeder) Attempted(e relay.Attempted) {
	if e.Message == nil || e.Message.Envelope.Sender.IsNull() {
		return
	}
	for i := range e.Outcomes {
		if o := &e.Outcomes[i]; speaksOf(o) && !alike(e.Outcomes) {
			f.list.feed(e.Message, o)
		}
	}
}

// speaksOf says whether an outcome is about its recipient for good: a next hop's permanent refusal of
// the class user. What is about the host, the sender, the message or us says nothing of anybody.
func speaksOf(o *relay.Outcome) bool {
	return o.Status == relay.Bounced && o.Host != "" && o.Reply.Permanent() && o.Reply.Class == relay.ClassUser &&
		!exempt(o.Recipient.Address) && !aboutSender(o.Reply)
}

// aboutSender says whether a reply may mean the sender's address instead, or the state of a mailbox
// that is there (RFC 3463 sections 3.2 and 3.3).
func aboutSender(r relay.Reply) bool {
	switch r.Enhanced {
	case relay.EnhancedCode{5, 1, 7}, relay.EnhancedCode{5, 1, 8}, relay.EnhancedCode{5, 1, 9},
		relay.EnhancedCode{5, 2, 2}, relay.EnhancedCode{5, 2, 3}, relay.EnhancedCode{5, 2, 4}:
		return true
	}
	return strings.Contains(strings.ToLower(r.Text), "sender")
}

// alike says whether several recipients got one and the same reply: that may have been given to MAIL
// or to the message, and does not say which of them it means.
func alike(outcomes []relay.Outcome) bool {
	if len(outcomes) < 2 {
		return false
	}
	for i := range outcomes {
		if outcomes[i].Reply.String() != outcomes[0].Reply.String() {
			return false
		}
	}
	return true
}

// feed puts a recipient on the list, or lets what is there go on for another time. What an operator
// has said stays as it is.
func (l *List) feed(m *relay.Message, o *relay.Outcome) {
	now := plain(l.o.Now())
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.terms.Keep <= 0 || len(l.unwritten) > 2*l.terms.Most {
		return
	}
	e := &Entry{
		Address: folded(o.Recipient.Address), Scope: l.scopeFor(m), Since: now, Until: now.Add(l.terms.Keep),
		Reason: oneLine(o.Reply.String()), Host: oneLine(o.Host),
	}
	if old := l.all[e.key()]; old != nil && old.in(now) {
		if old.Author != "" {
			return
		}
		e.Since = old.Since
	}
	_ = l.put(e) // a list that is full of operators' entries takes no others
}

// scopeFor is the scope of what next hops say about a message's recipients. mu is held.
func (l *List) scopeFor(m *relay.Message) string {
	switch {
	case l.terms.Scope == ScopeUser && m.Origin.User != "":
		return scopeOf(ScopeUser, m.Origin.User)
	case l.terms.Scope == ScopeGlobal || m.Envelope.Sender.Domain == "":
		return ScopeGlobal
	}
	return scopeOf(ScopeDomain, m.Envelope.Sender.Domain)
}
