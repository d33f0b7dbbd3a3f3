package outbound

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/xdg-go/stringprep"
)

// The bounds of the iterations that a server may ask for: fewer than RFC 7677 section 4 wants
// would give the password away cheaply, and very many would be an attack on our CPU.
const (
	scramLeast = 4096
	scramMost  = 1_000_000
)

var errSCRAM = errors.New("SCRAM-SHA-256")

// scram is the client of SCRAM-SHA-256 (RFC 5802, RFC 7677) without channel binding.
type scram struct {
	user, password string
	nonce          string
	// first is client-first-message-bare, and signature what the server has to show at the end.
	first     string
	signature []byte
	// verified says that the server knows the password too.
	verified bool
}

func newSCRAM(user, password string) *scram {
	return &scram{user: prepared(user), password: prepared(password), nonce: rand.Text()}
}

// prepared is the text in the form in which both ends compare it (RFC 4013): a letter with an accent
// is one character, however it was typed. What SASLprep forbids is used as it is, as servers do
// that let it be set.
func prepared(text string) string {
	if form, err := stringprep.SASLprep.Prepare(text); err == nil {
		return form
	}
	return text
}

// Start implements sasl.Client.
func (s *scram) Start() (mechanism string, initial []byte, err error) {
	user := strings.NewReplacer("=", "=3D", ",", "=2C").Replace(s.user)
	s.first = "n=" + user + ",r=" + s.nonce
	return mechanismSCRAM, []byte("n,," + s.first), nil
}

// Next implements sasl.Client.
func (s *scram) Next(challenge []byte) ([]byte, error) {
	if s.signature == nil {
		return s.prove(string(challenge))
	}
	verifier, ok := bytes.CutPrefix(challenge, []byte("v="))
	given, err := base64.StdEncoding.DecodeString(string(verifier))
	if !ok || err != nil || subtle.ConstantTimeCompare(given, s.signature) != 1 {
		return nil, fmt.Errorf("%w: the server does not know the password", errSCRAM)
	}
	s.verified = true
	return []byte{}, nil
}

// prove answers server-first-message with client-final-message.
func (s *scram) prove(serverFirst string) ([]byte, error) {
	nonce, salt, iterations, err := s.parse(serverFirst)
	if err != nil {
		return nil, err
	}
	salted, err := pbkdf2.Key(sha256.New, s.password, salt, iterations, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSCRAM, err)
	}
	final := "c=biws,r=" + nonce
	message := s.first + "," + serverFirst + "," + final
	clientKey := hmacSHA256(salted, "Client Key")
	storedKey := sha256.Sum256(clientKey)
	proof := make([]byte, sha256.Size)
	subtle.XORBytes(proof, clientKey, hmacSHA256(storedKey[:], message))
	s.signature = hmacSHA256(hmacSHA256(salted, "Server Key"), message)
	return []byte(final + ",p=" + base64.StdEncoding.EncodeToString(proof)), nil
}

// parse reads "r=nonce,s=salt,i=iterations" and what extensions may follow.
func (s *scram) parse(text string) (nonce string, salt []byte, iterations int, err error) {
	parts := strings.Split(text, ",")
	if len(parts) < 3 {
		return "", nil, 0, fmt.Errorf("%w: not a first message", errSCRAM)
	}
	nonce, okNonce := strings.CutPrefix(parts[0], "r=")
	saltText, okSalt := strings.CutPrefix(parts[1], "s=")
	count, okCount := strings.CutPrefix(parts[2], "i=")
	salt, errSalt := base64.StdEncoding.DecodeString(saltText)
	iterations, errCount := strconv.Atoi(count)
	switch {
	case !okNonce || !okSalt || !okCount || errSalt != nil || errCount != nil:
		return "", nil, 0, fmt.Errorf("%w: not a first message", errSCRAM)
	case !strings.HasPrefix(nonce, s.nonce) || len(nonce) == len(s.nonce):
		return "", nil, 0, fmt.Errorf("%w: the nonce is not ours", errSCRAM)
	case iterations < scramLeast || iterations > scramMost:
		return "", nil, 0, fmt.Errorf("%w: %d iterations are not in %d to %d", errSCRAM, iterations, scramLeast, scramMost)
	}
	return nonce, salt, iterations, nil
}

func hmacSHA256(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
