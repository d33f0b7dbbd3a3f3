package relay

// Envelope is what a transaction's commands said about a message (RFC 5321 section
// 2.3.1), with the parameters of the extensions that must reach the next hop.
type Envelope struct {
	// Sender is the reverse-path. The zero Address is the null reverse-path "<>".
	Sender Address
	// Recipients in the order of their RCPT commands, each once.
	Recipients []Recipient
	// SMTPUTF8 says that the client asked for internationalised mail (RFC 6531).
	SMTPUTF8 bool
	// EightBit says that the client declared BODY=8BITMIME (RFC 6152).
	EightBit bool
	// RequireTLS says that the client asked for REQUIRETLS (RFC 8689).
	RequireTLS bool
	// TLSOptional says that the message asks to be delivered whatever the domains of its recipients
	// demand of TLS: "TLS-Required: No" (RFC 8689 section 4).
	TLSOptional bool
	// Priority is MT-PRIORITY, from -9 to 9, more being more urgent (RFC 6710).
	Priority int8
	// Return is RET of a DSN request: what a failure notice should quote (RFC 3461).
	Return Return
	// EnvelopeID is ENVID, decoded from xtext (RFC 3461).
	EnvelopeID string
	// Encryption is what a rule asks of the sessions that the message is sent over.
	Encryption Encryption
}

// Return is the RET parameter (RFC 3461 section 4.3).
type Return uint8

// The values of RET.
const (
	ReturnUnspecified Return = iota
	ReturnFull
	ReturnHeaders
)

// Recipient is one forward-path with its DSN parameters.
type Recipient struct {
	Address Address
	// Notify is NOTIFY (RFC 3461 section 4.1); zero means that none was given.
	Notify Notify
	// Original is ORCPT decoded, as "type;address"; "" when none was given.
	Original string
	// Route is the name of the route that a rule wants taken; "" for the one that matches.
	Route string
}

// Notify is a set of the conditions under which a notice is wanted.
type Notify uint8

// The values of NOTIFY. NotifyNever stands alone.
const (
	NotifyNever Notify = 1 << iota
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

// Wants says whether the recipient's sender is to be told of the condition. Without a
// NOTIFY parameter that is failure and delay (RFC 3461 section 4.1).
func (r Recipient) Wants(condition Notify) bool {
	if r.Notify == 0 {
		return condition&(NotifyFailure|NotifyDelay) != 0
	}
	return r.Notify&condition != 0
}
