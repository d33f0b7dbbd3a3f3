package relay

import "strings"

// TLSOptionalRoute names the twin of a route: the same way, but without regard to what the
// domains of the recipients demand of TLS. It is for messages that ask for that.
func TLSOptionalRoute(name string) string { return name + "~tls-optional" }

// heedTLSRequired looks for the message's wish to be delivered whatever TLS there is, and takes it
// another way where there is one. REQUIRETLS outdoes it (RFC 8689 section 5). What says where
// mail goes is that of the recipients, in order.
func (t *Transaction) heedTLSRequired(m *Message, to []Routing) {
	if m.Envelope.RequireTLS || !strings.EqualFold(m.Field("TLS-Required"), "No") {
		return
	}
	m.Envelope.TLSOptional = true
	for i := range to {
		if other, reply := t.o.Policy.Route(m, m.Envelope.Recipients[i]); reply == nil {
			to[i].To = other.To
		}
	}
}
