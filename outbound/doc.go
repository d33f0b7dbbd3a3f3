// Package outbound implements relay.Transport: it finds the hosts that take mail for a
// destination and speaks SMTP with them.
//
// Resolve turns a destination into a site. A route by MX asks DNS, through a cache; a
// route to smart hosts looks up the names that were configured. Dial opens a session:
// connection, greeting, EHLO, STARTTLS, AUTH. Deliver runs transactions over it, MAIL, RCPT
// and DATA in one flight where the peer allows it, and says for each recipient what the
// peer answered.
//
// Whatever goes wrong becomes a *relay.Reply. It is permanent only by a peer's 5xx to a
// command of the transaction, or because DNS says for certain that nobody can take the mail.
package outbound
