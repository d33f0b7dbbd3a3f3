// Package inbound is the SMTP server edge: it takes connections, speaks SMTP with the
// clients, and hands what they send to a relay.Transaction.
//
// A session has two halves on one goroutine. The wire is the connection: buffered replies,
// deadlines, TLS, and the one place where bytes become commands or content. The gate reads each
// command before go-smtp does, refuses what breaks the protocol, and passes the
// rest on, one line at a time; go-smtp runs the session and calls back. Content never passes
// through go-smtp: DATA and BDAT are read from the wire, so what ends a message is decided
// here and nowhere else.
package inbound
