package auth

import (
	"context"
	"fmt"

	"github.com/xdg-go/scram"
)

// maxSCRAMMessage bounds a client's message, in bytes.
const maxSCRAMMessage = 4096

// scramExchange is SCRAM-SHA-256 (RFC 5802, RFC 7677) without channel binding. A name
// that does not exist goes through the same exchange, which fails as for a wrong password.
type scramExchange struct {
	e            *Exchange
	conversation *scram.ServerConversation
	// id is the user that the client says it is; nil for a decoy.
	id *Identity
	// turn counts the client's messages.
	turn int
}

func newSCRAMExchange(e *Exchange) *scramExchange {
	s := &scramExchange{e: e}
	server, _ := scram.SHA256.NewServer(s.lookUp) // its error is always nil
	s.conversation = server.NewConversation()
	return s
}

func (s *scramExchange) lookUp(name string) (scram.StoredCredentials, error) {
	if !IsName(name) {
		return scram.StoredCredentials{}, errMalformed
	}
	s.e.user = name
	credentials, id := s.e.a.file.scram(name)
	s.id = id
	return credentials, nil
}

func (s *scramExchange) next(_ context.Context, response []byte) ([]byte, *Identity, error) {
	if response == nil {
		return []byte{}, nil, nil
	}
	if len(response) > maxSCRAMMessage {
		return nil, nil, errMalformed
	}
	s.turn++
	switch s.turn {
	case 1:
		return s.first(string(response))
	case 2:
		return s.final(string(response))
	}
	// The client has had our signature, and says nothing more.
	if len(response) > 0 || !s.conversation.Valid() {
		return nil, nil, errMalformed
	}
	s.e.a.failures.succeed(pairOf(s.e.client, s.e.user))
	return nil, s.id, nil
}

func (s *scramExchange) first(message string) ([]byte, *Identity, error) {
	challenge, err := s.conversation.Step(message)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	if identity := s.conversation.AuthzID(); identity != "" && identity != s.e.user {
		return nil, nil, fmt.Errorf("user %q wants to be %q: %w", s.e.user, identity, ErrCredentials)
	}
	return []byte(challenge), nil, s.e.a.heard(pairOf(s.e.client, s.e.user))
}

func (s *scramExchange) final(message string) ([]byte, *Identity, error) {
	pair := pairOf(s.e.client, s.e.user)
	if err := s.e.a.heard(pair); err != nil {
		return nil, nil, err
	}
	signature, err := s.conversation.Step(message)
	if err == nil && s.id != nil {
		return []byte(signature), nil, nil
	}
	if err != nil && signature != scram.ErrInvalidProof {
		return nil, nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	s.e.a.failures.fail(pair)
	return nil, nil, fmt.Errorf("user %q: %w", s.e.user, ErrCredentials)
}
