package relay

// Means says whether a selector means a delivery in the queue. message reads the delivery's
// message, nil where it cannot be read; it is called only where the answer depends on it.
func (s *Scheduler) Means(sel *Selector, d *Delivery, message func() *Message) bool {
	if !sel.matchesDelivery(d, s.o.Now(), s.StateOf) {
		return false
	}
	if !sel.asksMessage() {
		return true
	}
	m := message()
	return m != nil && sel.matchesMessage(d, m)
}

// Like says whether a text has the form of a pattern as in a Selector: * stands for any
// characters, case does not matter, and the empty pattern is like everything.
func Like(pattern, text string) bool { return like(pattern, text) }
