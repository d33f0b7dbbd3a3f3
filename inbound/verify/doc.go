// Package verify finds out whether messages come from where they say: SPF (RFC 7208), DKIM
// (RFC 6376) and DMARC (RFC 7489), and stamps what it found on them (RFC 8601). It is a
// relay.Verifier; whether anything follows from a result is for rules to say.
package verify
