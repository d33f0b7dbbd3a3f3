package relay

import (
	"net/netip"
	"time"
)

// Message is an accepted message. It never changes: what becomes of it is recorded in
// its deliveries. On the wire it is Header followed by the body, byte for byte.
type Message struct {
	ID       ID
	Envelope Envelope
	Origin   Origin
	// Header is the whole header section as it will be sent: signatures and trace
	// first, then the fields that the client sent, lines ended by CRLF, and the empty line
	// that ends the section.
	Header []byte
	// Size is the length of the header and the body together, in bytes.
	Size int64
	// Received is when the message was accepted.
	Received time.Time
	// Tags are what rules have marked the message with.
	Tags []string
	// Trace is what the rules said, in the order in which they were asked.
	Trace []Verdict
	// Verified is what was found out about where the message is from. It is for the way in
	// only and is not kept.
	Verified Verified
	// SignWith are the names of the keys that a rule wants the message signed with: a domain for
	// all its keys, SELECTOR._domainkey.DOMAIN for one, "none" for no signature. Without any the
	// signers choose. It is for the way in only and is not kept.
	SignWith []string
	// Place is the Spool's own note of where it keeps the body, so that it need not be
	// looked up. The Spool sets it when it commits or reads the message; nobody else
	// looks at it.
	Place any
}

// Verdict is what a rule said about a message or one of its recipients.
type Verdict struct {
	// Rule is the rule's name, and Stage where it was asked: connect, mail, rcpt or data.
	Rule, Stage string
	// Recipient is whom it was asked about, at the rcpt stage.
	Recipient string
	// Said is what it came to, in words; "" where the rule did not match.
	Said string
}

// Origin is where a message came from: the facts of its session.
type Origin struct {
	// Listener is the name of the listener that took the connection; "" for mail of our own.
	Listener string
	// Client is the address of the client; invalid on a Unix socket and for mail of our own.
	Client netip.Addr
	// Greeting is the name that the client gave with EHLO or HELO.
	Greeting string
	// User is the authenticated user; "" when the session is not authenticated.
	User string
	// Protocol is the "with" keyword of the Received field: SMTP, ESMTP, ESMTPS,
	// ESMTPA, ESMTPSA (RFC 3848), or LMTP's.
	Protocol string
	// TLS describes the session's encryption, such as "TLSv1.3, TLS_AES_128_GCM_SHA256"; ""
	// when there is none.
	TLS string
	// connected is what the policy said when the client connected.
	connected *Ruling
}
