// Package dkim signs messages (RFC 6376) with the keys of their author's domain, and sees
// to the keys: files, DNS records, rotation. It knows nothing of relays; the program fits it
// to relay.Signer.
//
// Canonicalisation and signing are our own, so that a body is hashed once as it is read,
// in a canonical form that most text has already. Tests hold them to the verifiers of
// others.
package dkim
