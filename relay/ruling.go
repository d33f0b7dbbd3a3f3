package relay

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

// record keeps the verdicts with the message, as far as there is room.
func (t *Transaction) record(m *Message, trace []Verdict) {
	if room := t.o.Trace - len(m.Trace); len(trace) > room {
		trace = trace[:max(room, 0)]
	}
	m.Trace = append(m.Trace, trace...)
}
