package dkim

import (
	"fmt"
	"strings"
)

// maxFields bounds the list of signed fields, in bytes: it becomes one line, and a line
// has at most 998 (RFC 5322 section 2.1.1).
const maxFields = 900

// seal says how a field is signed. Naming a field once more than it occurs makes a
// signature fail when another is added (RFC 6376 section 8.15).
type seal uint8

const (
	// plain signs the fields that there are. Providers add or replace these.
	plain seal = iota
	// closed allows no further field where there is one.
	closed
	// always allows no further field even where there is none: what a reader sees.
	always
)

// signedFields are the fields of RFC 6376 section 5.4.1, with those that one-click
// unsubscription needs signed (RFC 8058 section 4). Received and Return-Path change on
// the way and are not among them.
func signedFields() []struct {
	name string
	seal seal
} {
	return []struct {
		name string
		seal seal
	}{
		{"from", always}, {"reply-to", always}, {"subject", always},
		{"sender", closed}, {"date", closed}, {"to", closed}, {"cc", closed},
		{"mime-version", closed}, {"content-type", closed}, {"content-transfer-encoding", closed},
		{"message-id", plain}, {"in-reply-to", plain}, {"references", plain},
		{"resent-date", plain}, {"resent-from", plain}, {"resent-to", plain}, {"resent-cc", plain},
		{"list-id", plain}, {"list-help", plain}, {"list-unsubscribe", plain}, {"list-unsubscribe-post", plain},
		{"list-subscribe", plain}, {"list-post", plain}, {"list-owner", plain}, {"list-archive", plain},
	}
}

// signedNames lists what a signature of this header names, over-signing included.
func (h *header) signedNames() ([]string, error) {
	var names []string
	for _, f := range signedFields() {
		n := h.count(f.name)
		if f.seal == always || f.seal == closed && n > 0 {
			n++
		}
		for range n {
			names = append(names, f.name)
		}
	}
	if len(strings.Join(names, ":")) > maxFields {
		return nil, fmt.Errorf("%w: too many fields to sign", ErrHeader)
	}
	return names, nil
}
