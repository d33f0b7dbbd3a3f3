package auth

// Counted is how many networks, users and pairs have failures remembered.
func Counted(a *Authority) int { return len(a.failures.counts.entries) }

// Double is whose secret is tried for a name that does not exist.
func Double(a *Authority, name string) *Entry { return a.file.double(a.file.table().entries, name) }

// ParseEntry reads a line of a users file.
var ParseEntry = parseEntry

// ParseSecret reads a secret.
var ParseSecret = parseSecret

// Addresses are those of a directory's values that can be a sender's.
var Addresses = addresses
