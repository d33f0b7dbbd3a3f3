package relay

import "cmp"

// Handling is how the messages of a session are taken in, as its listener has it. The zero
// Handling is a relay's, with the Receiver's limits: what a message says is left alone.
type Handling struct {
	// Strict refuses what is mended otherwise, a bare CR or LF in a message and a header section
	// without the empty line after it, and lines over 998 bytes.
	Strict bool
	// Submission completes messages of mail programs (RFC 6409 section 8): Date, Message-ID
	// and From are added where they are missing, addresses without a domain are given
	// ours, fields with long lines are folded, and Bcc goes.
	Submission bool
	// HideClient leaves the client's name and address out of the Received field.
	HideClient bool
	// MessageSize and Recipients are the limits in place of the Receiver's; 0 for those.
	MessageSize int64
	Recipients  int
	// Verifier, where there is one, looks at each message before anybody decides about it.
	Verifier Verifier
	// Judges, in order, decide about each message before the policy does.
	Judges []Judge
	// RecipientJudges, in order, decide about each recipient after the policy has taken it.
	RecipientJudges []RecipientJudge
	// Screen, where there is one, decides about each message before the policy does: what the
	// session knows of its user is for it to judge.
	Screen func(*Message) *Reply
}

// within fills in the Receiver's limits.
func (h Handling) within(o *ReceiverOptions) Handling {
	h.MessageSize = cmp.Or(h.MessageSize, o.MessageSize)
	h.Recipients = cmp.Or(h.Recipients, o.Recipients)
	return h
}
