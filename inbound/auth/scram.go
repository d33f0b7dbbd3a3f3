package auth

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/xdg-go/scram"
	"github.com/xdg-go/stringprep"
)

// The iterations of SCRAM. Each costs the client too, at every exchange; RFC 7677 section
// 4 wants 4096 at least.
const (
	scramIterations    = 15000
	minSCRAMIterations = 4096
	maxSCRAMIterations = 1_000_000
)

// scramSecret is a password in the form of RFC 5803: SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey.
type scramSecret struct {
	iterations                 int
	salt, storedKey, serverKey []byte
}

func newSCRAM(password string) (Secret, error) {
	if _, err := stringprep.SASLprep.Prepare(password); err != nil {
		return nil, fmt.Errorf("the password has characters that SCRAM does not allow: %w", err)
	}
	return deriveSCRAM(password, newSalt(), scramIterations)
}

// deriveSCRAM computes the keys of RFC 5802 section 3.
func deriveSCRAM(password string, salt []byte, iterations int) (*scramSecret, error) {
	salted, err := pbkdf2.Key(sha256.New, prepare(password), salt, iterations, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive a SCRAM key: %w", err)
	}
	stored := sha256.Sum256(sum(salted, "Client Key"))
	return &scramSecret{iterations: iterations, salt: salt, storedKey: stored[:], serverKey: sum(salted, "Server Key")}, nil
}

// prepare does what the client does to a password before it is used. What cannot be prepared
// is right for nobody's SCRAM secret, and stays as it is.
func prepare(password string) string {
	if prepared, err := stringprep.SASLprep.Prepare(password); err == nil {
		return prepared
	}
	return password
}

func sum(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

func parseSCRAM(text string) (Secret, error) {
	fault := errors.New("the password is not a SCRAM hash such as SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey")
	parts := strings.Split(text, "$")
	if len(parts) != 3 {
		return nil, fault
	}
	iterations, salt, _ := strings.Cut(parts[1], ":")
	stored, server, _ := strings.Cut(parts[2], ":")
	n, badN := strconv.Atoi(iterations)
	s := &scramSecret{iterations: n}
	for _, field := range []struct {
		to       *[]byte
		text     string
		min, max int
	}{{&s.salt, salt, 8, 64}, {&s.storedKey, stored, sha256.Size, sha256.Size}, {&s.serverKey, server, sha256.Size, sha256.Size}} {
		decoded, err := base64.StdEncoding.Strict().DecodeString(field.text)
		if err != nil || len(decoded) < field.min || len(decoded) > field.max {
			return nil, fault
		}
		*field.to = decoded
	}
	switch {
	case badN != nil || s.String() != text:
		return nil, fault
	case n < minSCRAMIterations || n > maxSCRAMIterations:
		return nil, fmt.Errorf("a SCRAM hash of %d iterations: from %d to %d are sensible", n, minSCRAMIterations, maxSCRAMIterations)
	}
	return s, nil
}

// Verify compares in constant time.
func (s *scramSecret) Verify(password string) bool {
	derived, err := deriveSCRAM(password, s.salt, s.iterations)
	return err == nil && hmac.Equal(derived.storedKey, s.storedKey)
}

// Scheme is SCRAM-SHA-256.
func (s *scramSecret) Scheme() Scheme { return SchemeSCRAM }

func (s *scramSecret) String() string {
	b64 := base64.StdEncoding
	return fmt.Sprintf("%s$%d:%s$%s:%s", SchemeSCRAM, s.iterations,
		b64.EncodeToString(s.salt), b64.EncodeToString(s.storedKey), b64.EncodeToString(s.serverKey))
}

// credentials gives the secret as the exchange wants it.
func (s *scramSecret) credentials() scram.StoredCredentials {
	return scram.StoredCredentials{
		KeyFactors: scram.KeyFactors{Salt: string(s.salt), Iters: s.iterations},
		StoredKey:  s.storedKey, ServerKey: s.serverKey,
	}
}

// decoy gives credentials that look like this secret's and are nobody's: the salt is made of
// the name, so that a name which does not exist has the same one each time.
func (s *scramSecret) decoy(key []byte, name string) scram.StoredCredentials {
	salt := sum(key, "salt "+name)
	for len(salt) < len(s.salt) {
		salt = append(salt, salt...)
	}
	return scram.StoredCredentials{
		KeyFactors: scram.KeyFactors{Salt: string(salt[:len(s.salt)]), Iters: s.iterations},
		StoredKey:  sum(key, "stored "+name), ServerKey: sum(key, "server "+name),
	}
}
