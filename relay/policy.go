package relay

import (
	"context"
	"io"
)

// Policy decides what the configuration has to say about mail. The zero Ruling means yes.
// Implementations fail closed: whatever goes wrong inside is a temporary refusal. They
// decide and do not act: what a ruling wants done to the message, a Transaction does.
type Policy interface {
	// Connect decides whether a client may speak at all. Its edits hold for each message of
	// the session.
	Connect(ctx context.Context, o *Origin) Ruling
	// Mail decides about the reverse-path; m has no recipients yet.
	Mail(ctx context.Context, m *Message) Ruling
	// Rcpt decides about one recipient, relay permission first; m has those accepted before.
	Rcpt(ctx context.Context, m *Message, r Recipient) Ruling
	// Data decides about the whole message, stamped but before it is signed.
	Data(ctx context.Context, m *Message) Ruling
	// Route says where mail for the recipient goes now. It is asked when mail is accepted
	// and again at every attempt; of m it looks at Origin, Envelope and Tags.
	Route(m *Message, r Recipient) (Routing, *Reply)
}

// Routing is where mail goes.
type Routing struct {
	// To is the destination, also of what is kept.
	To Destination
	// Held says why mail on this route is kept until an operator releases it; "" when it is not.
	Held string
	// Discard says that mail on this route is thrown away.
	Discard bool
}

// Signer signs messages.
type Signer interface {
	// Sign returns header fields to put in front of the message, each ended by CRLF. m has
	// the header section as it stands, body is what follows it: it is opened by the first
	// read, so that whoever has no key for the message need not pay for it. No key is not an
	// error: the fields are empty then. m is not changed.
	Sign(ctx context.Context, m *Message, body io.Reader) (fields []byte, err error)
}
