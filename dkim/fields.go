package dkim

import (
	"fmt"
	"strings"
)

// maxFields bounds the list of signed fields, in bytes. It is folded.
const maxFields = 2000

// seal says how a field is signed. Naming a field once more than it occurs makes a
// signature fail when another is added (RFC 6376 section 8.15).
type seal uint8

const (
	// plain signs the fields that there are. Lists and forwarders add or replace these.
	plain seal = iota
	// closed allows no further field where there is one.
	closed
	// always allows no further field even where there is none: what a reader sees.
	always
)

// signed is a field to be signed, its name in lower case.
type signed struct {
	name string
	seal seal
}

// signedFields are the fields of RFC 6376 section 5.4.1, with those that one-click
// unsubscription needs signed (RFC 8058 section 4). Received and Return-Path change on
// the way and are not among them.
func signedFields() []signed {
	return []signed{
		{"from", always}, {"reply-to", always}, {"subject", always},
		{"sender", closed}, {"date", closed}, {"to", closed}, {"cc", closed}, {"message-id", closed},
		{"mime-version", closed}, {"content-type", closed}, {"content-transfer-encoding", closed},
		{"in-reply-to", plain}, {"references", plain},
		{"resent-date", plain}, {"resent-from", plain}, {"resent-to", plain}, {"resent-cc", plain},
		{"list-id", plain}, {"list-help", plain}, {"list-unsubscribe", plain}, {"list-unsubscribe-post", plain},
		{"list-subscribe", plain}, {"list-post", plain}, {"list-owner", plain}, {"list-archive", plain},
	}
}

// chosenFields are those that a configuration names, each closed, and From.
func chosenFields(names []string) ([]signed, error) {
	fields := []signed{{"from", always}}
	seen := map[string]bool{"from": true}
	for _, text := range names {
		name := strings.ToLower(text)
		if canonical, ok := fieldName([]byte(name + ":")); !ok || canonical != name {
			return nil, fmt.Errorf("%q is not the name of a header field", text)
		}
		switch name {
		case "dkim-signature", "return-path", "received", "authentication-results", "comments", "keywords":
			return nil, fmt.Errorf("%s must not be signed: it changes on the way", text)
		}
		if !seen[name] {
			seen[name] = true
			fields = append(fields, signed{name, closed})
		}
	}
	return fields, nil
}

// signedNames lists what a signature of this header names, over-signing included.
func (h header) signedNames(fields []signed) ([]string, error) {
	names := make([]string, 0, 24)
	size := 0
	for _, f := range fields {
		n := h.count(f.name)
		if f.seal == always || f.seal == closed && n > 0 {
			n++
		}
		for range n {
			names = append(names, f.name)
			size += len(f.name) + 1
		}
	}
	if size > maxFields {
		return nil, fmt.Errorf("%w: too many fields to sign", ErrHeader)
	}
	return names, nil
}
