package auth

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/bcrypt"
)

// bcryptCost is that of new secrets.
const bcryptCost = bcrypt.DefaultCost

// maxBcryptCost bounds what one attempt may cost us: each step doubles it, and 16 takes seconds.
const maxBcryptCost = 16

type bcryptSecret string

func newBcrypt(password string) (Secret, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcryptCost)
	if errors.Is(err, bcrypt.ErrPasswordTooLong) {
		return nil, errors.New("bcrypt takes passwords of at most 72 bytes: use argon2id or SCRAM-SHA-256")
	}
	return bcryptSecret(hash), err
}

func parseBcrypt(text string) (Secret, error) {
	cost, err := bcrypt.Cost([]byte(text))
	switch {
	case err != nil || len(text) != 60:
		return nil, errors.New("the password is not a bcrypt hash")
	case cost > maxBcryptCost:
		return nil, fmt.Errorf("bcrypt of cost %d: at most %d is sensible", cost, maxBcryptCost)
	}
	return bcryptSecret(text), nil
}

// Verify compares in constant time.
func (s bcryptSecret) Verify(password string) bool {
	return bcrypt.CompareHashAndPassword([]byte(s), []byte(password)) == nil
}

// Scheme is bcrypt.
func (s bcryptSecret) Scheme() Scheme { return SchemeBcrypt }

func (s bcryptSecret) String() string { return string(s) }
