package relay

// Held is told when a delivery is kept until an operator releases it: as it arrives or goes another
// way, because a rule or a route wants it, or later, because an operator does.
type Held struct {
	// Delivery is the delivery as it is kept; its Held says why.
	Delivery Delivery
	Message  *Message
	// Operator is who wants it; "" where the configuration does.
	Operator string
}

// tellHeld tells of those deliveries of a message that are held.
func tellHeld(o Observer, m *Message, ds []Delivery, operator string) {
	for i := range ds {
		if ds[i].Held != "" {
			o.Held(Held{Delivery: ds[i], Message: m, Operator: operator})
		}
	}
}
