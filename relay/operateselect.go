package relay

import (
	"slices"
	"strings"
	"time"
)

// Selector says which deliveries in the queue are meant: those that meet all of its
// conditions. The zero Selector means every delivery. Texts are patterns in which * stands for
// any characters, and case does not matter.
type Selector struct {
	// IDs are messages; none stands for all.
	IDs []ID
	// Sender and Recipient are like addresses, without brackets; a null reverse-path is "<>".
	Sender, Recipient string
	// Destination is like "route" or "route/domain", and Route like the route alone.
	Destination, Route string
	// User is like the authenticated user, Tag like one of the tags that rules have set.
	User, Tag string
	// Older and Younger bound the time since arrival; 0 sets no bound.
	Older, Younger time.Duration
	// Larger and Smaller bound the message's size in bytes; 0 sets no bound.
	Larger, Smaller int64
	// States are any of the states; none stands for all.
	States []State
	// Classes are any of the classes of the last reply; none stands for all.
	Classes []Class
}

// Everything says that the selector sets no condition.
func (s *Selector) Everything() bool {
	return len(s.IDs)+len(s.States)+len(s.Classes) == 0 && !s.asksDelivery() && !s.asksMessage()
}

func (s *Selector) asksDelivery() bool {
	return s.Destination+s.Route != "" || s.Older != 0 || s.Younger != 0
}

// asksMessage says that the message's record is needed for an answer.
func (s *Selector) asksMessage() bool {
	return s.Sender+s.Recipient+s.User+s.Tag != "" || s.Larger != 0 || s.Smaller != 0
}

// matchesDelivery answers for what the delivery itself tells. state is asked for only where
// it matters.
func (s *Selector) matchesDelivery(d *Delivery, now time.Time, state func(*Delivery) State) bool {
	age := now.Sub(d.Message.Time())
	return (len(s.IDs) == 0 || slices.Contains(s.IDs, d.Message)) &&
		like(s.Destination, d.To.String()) && like(s.Route, d.To.Route) &&
		(s.Older == 0 || age >= s.Older) && (s.Younger == 0 || age < s.Younger) &&
		(len(s.Classes) == 0 || slices.Contains(s.Classes, d.Last.Class)) &&
		(len(s.States) == 0 || slices.Contains(s.States, state(d)))
}

// matchesMessage answers for what the message tells.
func (s *Selector) matchesMessage(d *Delivery, m *Message) bool {
	return like(s.Sender, senderText(m)) && like(s.User, m.Origin.User) &&
		(s.Larger == 0 || m.Size > s.Larger) && (s.Smaller == 0 || m.Size < s.Smaller) &&
		(s.Tag == "" || slices.ContainsFunc(m.Tags, func(tag string) bool { return like(s.Tag, tag) })) &&
		(s.Recipient == "" || slices.ContainsFunc(d.Recipients, func(k int) bool {
			return k >= 0 && k < len(m.Envelope.Recipients) && like(s.Recipient, m.Envelope.Recipients[k].Address.String())
		}))
}

func senderText(m *Message) string {
	if m.Envelope.Sender.IsNull() {
		return "<>"
	}
	return m.Envelope.Sender.String()
}

// like says whether a text has the form of a pattern, in which * stands for any characters.
// Case does not matter. The empty pattern is like everything.
func like(pattern, text string) bool {
	if pattern == "" {
		return true
	}
	parts := strings.Split(strings.ToLower(pattern), "*")
	text = strings.ToLower(text)
	first, last := parts[0], parts[len(parts)-1]
	if len(parts) == 1 {
		return text == first
	}
	if len(text) < len(first)+len(last) || !strings.HasPrefix(text, first) || !strings.HasSuffix(text, last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		_, after, found := strings.Cut(text, part)
		if !found {
			return false
		}
		text = after
	}
	return true
}
