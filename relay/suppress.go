package relay

// Suppressions know recipients for whom no mail is taken any more, such as those of whom a next hop
// has said that there are none of that name.
type Suppressions interface {
	// Suppressed refuses a recipient of the message, or gives nil. It does not block, and never
	// refuses mail without a sender or for a postmaster.
	Suppressed(m *Message, to Address) *Reply
}

// suppressed asks about a recipient whose mail would be sent on.
func (t *Transaction) suppressed(rcpt Recipient, to Routing) *Reply {
	if t.o.Suppressions == nil || to.Discard {
		return nil
	}
	return t.o.Suppressions.Suppressed(&t.message, rcpt.Address)
}
