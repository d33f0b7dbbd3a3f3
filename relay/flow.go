package relay

import (
	"fmt"
	"slices"
	"strings"
)

// FlowBy is what mail may be put into flows by.
type FlowBy uint8

// What flows go by. Whose mail has none of what is asked for first goes by what comes next.
const (
	// FlowByUser is the authenticated user.
	FlowByUser FlowBy = iota
	// FlowByTag is the first tag that a rule gave the message.
	FlowByTag
	// FlowBySender is the domain of the reverse-path.
	FlowBySender
	// FlowByClient is the client's address, of IPv6 its /64.
	FlowByClient
)

var flowByWords = [...]string{"user", "tag", "sender", "client"}

// DefaultFlowBy is the order where none is configured.
func DefaultFlowBy() []FlowBy { return []FlowBy{FlowByUser, FlowByTag, FlowBySender, FlowByClient} }

// FlowByWords are the words of all of them.
func FlowByWords() []string { return slices.Clone(flowByWords[:]) }

// String gives the word.
func (b FlowBy) String() string { return flowByWords[b] }

// MarshalText gives the word.
func (b FlowBy) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads the word.
func (b *FlowBy) UnmarshalText(text []byte) error {
	i := slices.Index(flowByWords[:], string(text))
	if i < 0 {
		return fmt.Errorf("%q is nothing that flows go by: want %s", text, strings.Join(flowByWords[:], ", "))
	}
	*b = FlowBy(i)
	return nil
}

// flowOf names whom a message competes as.
func flowOf(m *Message, order []FlowBy) Flow {
	for _, by := range order {
		if name := by.of(m); name != "" {
			return Flow(strings.ReplaceAll(name, flowMark, ""))
		}
	}
	return "-"
}

func (b FlowBy) of(m *Message) string {
	switch {
	case b == FlowByUser:
		return m.Origin.User
	case b == FlowByTag && len(m.Tags) > 0:
		return m.Tags[0]
	case b == FlowBySender:
		return m.Envelope.Sender.Domain
	case b == FlowByClient && m.Origin.Client.IsValid():
		bits := 32
		if m.Origin.Client.Is6() {
			bits = 64
		}
		if network, err := m.Origin.Client.Prefix(bits); err == nil {
			return network.String()
		}
	}
	return ""
}
