package auth

// Counted is how many networks, users and pairs have failures remembered.
func Counted(a *Authority) int { return len(a.failures.counts.entries) }

// ParseEntry reads a line of a users file.
var ParseEntry = parseEntry

// ParseSecret reads a secret.
var ParseSecret = parseSecret
