// Package inbound is the SMTP server edge: it takes connections, speaks SMTP with the
// clients, and hands what they send to a relay.Transaction.
//
// A session is one goroutine that reads a command, obeys it, and answers. The wire under it is
// the connection: buffered replies, deadlines, TLS, and the one place where bytes become
// commands or content. What ends a message is decided here and nowhere else.
//
// The loop is our own, not that of go-smtp's server. That one reads content a byte at a time,
// writes every line of a reply by itself, reads body text as commands after a
// timeout, and goes on in clear after a failed handshake; kept out of all that, it was fed
// commands that had been parsed and decided already, and its replies were muted where
// they were wrong. Without it a message of 4 KiB costs half the allocations, and
// three ways to smuggle are gone with the code that kept them shut.
//
// Its vocabulary is the edge's: the loop parses MAIL and RCPT into its options, hands them to
// a transaction, which is its Session and AuthSession, and says what SMTPError comes back.
// What an observer is told of has a reason, and is a relay.Reply until it meets the loop.
package inbound
