package relay

import "strings"

// Ruling is what the policy says at one stage. The zero Ruling is a yes without conditions.
type Ruling struct {
	// Reply refuses; nil accepts.
	Reply *Reply
	// Edits are what is to be done to the message; nil for nothing.
	Edits *Edits
	// Trace is what each rule said, in the order in which they were asked.
	Trace []Verdict
}

// Refusal is the Ruling of a reply; of nil, it is a yes.
func Refusal(reply *Reply) Ruling { return Ruling{Reply: reply} }

// MaxTrace is how many verdicts are kept of what rules said about a message: one to a
// thousand recipients meets many rules.
const MaxTrace = 200

// maxSaid bounds what is kept of a verdict's words, in bytes: they may quote what a client wrote.
const maxSaid = 500

// record keeps the verdicts with the message, as far as there is room. A quarter of it is for
// what is said of the whole message, however many recipients rules were asked about before.
func (t *Transaction) record(m *Message, trace []Verdict) {
	room := t.o.Trace - len(m.Trace)
	if len(trace) > 0 && trace[0].Recipient != "" {
		room -= t.o.Trace / 4
	}
	from := len(m.Trace)
	m.Trace = append(m.Trace, trace[:min(len(trace), max(room, 0))]...)
	for i := range m.Trace[from:] {
		if said := &m.Trace[from+i].Said; len(*said) > maxSaid {
			*said = strings.ToValidUTF8((*said)[:maxSaid], "") + "..."
		}
	}
}
