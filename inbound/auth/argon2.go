package auth

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// The cost of new secrets: the second recommended option of RFC 9106 section 4 with less
// memory, as each attempt that is being checked takes so much.
const (
	argon2Memory  = 19 << 10 // KiB
	argon2Time    = 2
	argon2Threads = 1
	argon2Length  = 32
)

// What a secret in the file may ask for at most.
const (
	maxArgon2Memory = 256 << 10 // KiB
	maxArgon2Time   = 64
)

// argon2Secret is a PHC string: $argon2id$v=19$m=19456,t=2,p=1$salt$hash.
type argon2Secret struct {
	memory, time uint32
	threads      uint8
	salt, hash   []byte
}

func newArgon2(password string) (Secret, error) {
	s := &argon2Secret{memory: argon2Memory, time: argon2Time, threads: argon2Threads, salt: newSalt()}
	s.hash = s.derive(password, argon2Length)
	return s, nil
}

func parseArgon2(text string) (Secret, error) {
	fault := errors.New("the password is not an argon2id hash such as $argon2id$v=19$m=19456,t=2,p=1$salt$hash")
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return nil, fault
	}
	s := &argon2Secret{}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &s.memory, &s.time, &s.threads); n != 3 || err != nil {
		return nil, fault
	}
	var badSalt, badHash error
	s.salt, badSalt = base64.RawStdEncoding.Strict().DecodeString(parts[4])
	s.hash, badHash = base64.RawStdEncoding.Strict().DecodeString(parts[5])
	switch {
	case badSalt != nil || badHash != nil || len(s.salt) < 8 || len(s.hash) < 16 || s.time == 0 || s.threads == 0, s.String() != text:
		return nil, fault
	case s.memory > maxArgon2Memory || s.time > maxArgon2Time || len(s.salt) > 64 || len(s.hash) > 64:
		return nil, fmt.Errorf("an argon2id hash of m=%d,t=%d: at most m=%d,t=%d is sensible", s.memory, s.time, maxArgon2Memory, maxArgon2Time)
	}
	return s, nil
}

func (s *argon2Secret) derive(password string, length int) []byte {
	return argon2.IDKey([]byte(password), s.salt, s.time, s.memory, s.threads, uint32(length))
}

// Verify compares in constant time.
func (s *argon2Secret) Verify(password string) bool {
	return subtle.ConstantTimeCompare(s.derive(password, len(s.hash)), s.hash) == 1
}

// Scheme is argon2id.
func (s *argon2Secret) Scheme() Scheme { return SchemeArgon2 }

func (s *argon2Secret) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, s.memory, s.time, s.threads,
		b64.EncodeToString(s.salt), b64.EncodeToString(s.hash))
}
