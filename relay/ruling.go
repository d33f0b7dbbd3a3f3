package relay

import "strings"

// Ruling is what the policy says at one stage. The zero Ruling is a yes without conditions.
type Ruling struct {
	// Reply refuses; nil accepts.
	Reply *Reply
	// Edits are what is to be done to the message; nil for nothing.
	Edits *Edits
	// Trace is what each rule said, in the order in which they were asked. It belongs to the
	// Policy and is not written to. About which recipient that was is for the asker to note.
	Trace []Verdict
}

// Refusal is the Ruling of a reply; of nil, it is a yes.
func Refusal(reply *Reply) Ruling { return Ruling{Reply: reply} }

// MaxTrace is how many verdicts are kept of what rules said about a message: one to a
// thousand recipients meets many rules.
const MaxTrace = 200

// maxSaid bounds what is kept of a verdict's words, in bytes: they may quote what a client wrote.
const maxSaid = 500

// record keeps the verdicts with the message, as far as there is room.
func (t *Transaction) record(m *Message, trace []Verdict) { m.keep(trace, t.o.Trace) }

// recordAbout is record for what was said of one recipient. However many there are, a quarter of
// the room is left for what is said of the whole message.
func (t *Transaction) recordAbout(m *Message, trace []Verdict, rcpt Address) {
	from := len(m.Trace)
	m.keep(trace, t.o.Trace-t.o.Trace/4)
	if from == len(m.Trace) {
		return
	}
	about := rcpt.String()
	for i := range m.Trace[from:] {
		m.Trace[from+i].Recipient = about
	}
}

// keep adds to the trace, up to a number of verdicts in all.
func (m *Message) keep(trace []Verdict, most int) {
	from := len(m.Trace)
	m.Trace = append(m.Trace, trace[:min(len(trace), max(most-from, 0))]...)
	for i := range m.Trace[from:] {
		if said := &m.Trace[from+i].Said; len(*said) > maxSaid {
			*said = strings.ToValidUTF8((*said)[:maxSaid], "") + "..."
		}
	}
}
