package relay

import (
	"context"
	"io"
)

// Policy decides what the configuration has to say about mail. A nil reply means yes.
// Implementations fail closed: whatever goes wrong inside is a temporary refusal.
type Policy interface {
	// Connect decides whether a client may speak at all.
	Connect(ctx context.Context, o *Origin) *Reply
	// Mail decides about the reverse-path; e has no recipients yet.
	Mail(ctx context.Context, o *Origin, e *Envelope) *Reply
	// Rcpt decides about one recipient, relay permission first; e has those accepted before.
	Rcpt(ctx context.Context, o *Origin, e *Envelope, r Recipient) *Reply
	// Data decides about the whole message, stamped but before it is signed.
	Data(ctx context.Context, m *Message) *Reply
	// Route says where mail of this origin and envelope for the recipient goes now. It is
	// asked when mail is accepted and again at every attempt.
	Route(o *Origin, e *Envelope, r Recipient) (Destination, *Reply)
}

// Signer signs messages.
type Signer interface {
	// Sign returns header fields to put in front of the message, each ended by CRLF. m has
	// the header section as it stands, body is what follows it: it is opened by the first
	// read, so that whoever has no key for the message need not pay for it. No key is not an
	// error: the fields are empty then. m is not changed.
	Sign(ctx context.Context, m *Message, body io.Reader) (fields []byte, err error)
}
