package auth

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
)

// Scheme is a form that a password is kept in.
type Scheme string

// The schemes. Only SchemeSCRAM lets a user authenticate without sending the password.
const (
	SchemeBcrypt Scheme = "bcrypt"
	SchemeArgon2 Scheme = "argon2id"
	SchemeSCRAM  Scheme = "SCRAM-SHA-256"
)

// Secret is what is kept of a password.
type Secret interface {
	// Verify says whether this is the password, in a time that does not depend on how much of
	// it is right.
	Verify(password string) bool
	Scheme() Scheme
	// String gives the secret as it stands in a users file.
	String() string
}

// NewSecret makes a secret of a password, with a salt of its own.
func NewSecret(scheme Scheme, password string) (Secret, error) {
	if password == "" {
		return nil, errors.New("the password is empty")
	}
	switch scheme {
	case SchemeBcrypt:
		return newBcrypt(password)
	case SchemeArgon2:
		return newArgon2(password)
	case SchemeSCRAM:
		return newSCRAM(password)
	}
	return nil, fmt.Errorf("unknown scheme %q", scheme)
}

// parseSecret reads a secret from the beginning of the text; rest is what follows it.
func parseSecret(text string) (secret Secret, rest string, err error) {
	colons := 0 // those that belong to the secret
	if strings.HasPrefix(text, string(SchemeSCRAM)+"$") {
		colons = 2
	}
	form, rest := cutAfter(text, colons)
	switch {
	case strings.HasPrefix(form, string(SchemeSCRAM)+"$"):
		secret, err = parseSCRAM(form)
	case strings.HasPrefix(form, "$argon2id$"):
		secret, err = parseArgon2(form)
	case strings.HasPrefix(form, "$2"):
		secret, err = parseBcrypt(form)
	default:
		err = errors.New("the password is not a bcrypt, argon2id or SCRAM-SHA-256 hash")
	}
	return secret, rest, err
}

// cutAfter splits the text at the colon that follows so many others.
func cutAfter(text string, colons int) (before, after string) {
	for i := range len(text) {
		if text[i] != ':' {
			continue
		}
		if colons == 0 {
			return text[:i], text[i+1:]
		}
		colons--
	}
	return text, ""
}

func newSalt() []byte {
	salt := make([]byte, 16)
	rand.Read(salt) // never fails
	return salt
}
