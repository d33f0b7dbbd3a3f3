// Package dkim signs messages (RFC 6376) with the keys of their author's domain. It fits
// relay.Signer by its shape.
//
// Both canonicalisations are always "relaxed": what relays on the way do to white space
// then does no harm.
package dkim
