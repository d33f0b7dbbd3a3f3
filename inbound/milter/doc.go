// Package milter asks filters that speak sendmail's milter protocol about messages, in the place
// of the mail server. The whole conversation about a message is held when the message is there, so
// that a filter never holds up an idle session, and is bounded in time.
package milter
