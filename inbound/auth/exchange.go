package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"postrider/relay"
)

// Exchange is one SASL exchange with a client. It belongs to one goroutine.
type Exchange struct {
	a         *Authority
	mechanism mechanism
	client    netip.Addr
	listener  string
	// user is the name that the client gave, "" until it has given one.
	user string
}

// mechanism is the server's side of a SASL mechanism.
type mechanism interface {
	// next takes a response, which is nil where the client began without one. It returns a
	// challenge until it returns an identity or an error.
	next(ctx context.Context, response []byte) (challenge []byte, id *Identity, err error)
}

// Begin begins an exchange with a client. False means that there is no such mechanism.
func (a *Authority) Begin(name string, client netip.Addr, listener string) (*Exchange, bool) {
	if !a.accepts(name) {
		return nil, false
	}
	e := &Exchange{a: a, client: client, listener: listener}
	switch name {
	case Plain:
		e.mechanism = &plain{e: e}
	case Login:
		e.mechanism = &login{e: e}
	case SCRAM:
		e.mechanism = newSCRAMExchange(e)
	}
	return e, true
}

// User is the name that the client gave.
func (e *Exchange) User() string { return e.user }

// Next takes the client's response, nil at the beginning where there was no initial one. It
// returns a challenge that the client is to answer, the user who has authenticated, or the
// reply that ends the exchange. A refusal takes its time.
func (e *Exchange) Next(ctx context.Context, response []byte) ([]byte, *Identity, *relay.Reply) {
	challenge, id, err := e.mechanism.next(ctx, response)
	if err == nil {
		return challenge, id, nil
	}
	reply := asReply(err)
	switch reply.Code {
	case replyCredentials.Code:
		wait(ctx, e.a.failures.delay(pairOf(e.client, e.user)))
	case replyFailed.Code:
		if reply.Err != nil {
			e.a.o.Fault(relay.Fault{Doing: "authenticate", Err: reply.Err})
		}
	}
	return nil, nil, reply
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Decode reads a line of an exchange. "=" is an empty response (RFC 4954 section 4), and
// some clients leave the padding out.
func Decode(line string) ([]byte, error) {
	decoded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(line, "="))
	if err != nil || len(line)-len(strings.TrimRight(line, "=")) > 2 {
		return nil, fmt.Errorf("%w: not base64", errMalformed)
	}
	return decoded, nil
}

// password decides about a name and a password.
func (e *Exchange) password(ctx context.Context, name, password string) (*Identity, error) {
	if !IsName(name) || strings.ContainsRune(password, 0) {
		return nil, errMalformed
	}
	e.user = name
	id, err := e.a.password(ctx, Attempt{User: name, Password: password, Client: e.client, Listener: e.listener})
	if errors.Is(err, ErrCredentials) {
		err = fmt.Errorf("user %q: %w", name, err)
	}
	return id, err
}

// IsName says whether the text can be a user's name, whatever the backend: it will be in logs and
// rules.
func IsName(text string) bool {
	return len(text) <= 255 && utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// plain is PLAIN (RFC 4616).
type plain struct{ e *Exchange }

func (p *plain) next(ctx context.Context, response []byte) ([]byte, *Identity, error) {
	if response == nil {
		return []byte{}, nil, nil
	}
	parts := strings.Split(string(response), "\x00")
	if len(parts) != 3 {
		return nil, nil, errMalformed
	}
	identity, name, password := parts[0], parts[1], parts[2]
	if identity != "" && identity != name && IsName(name) {
		p.e.user = name
		return nil, nil, fmt.Errorf("user %q wants to be %q: %w", name, identity, ErrCredentials)
	}
	id, err := p.e.password(ctx, name, password)
	return nil, id, err
}

// login is LOGIN (draft-murchison-sasl-login), which has no standard and many clients. A
// name may come as the initial response.
type login struct {
	e     *Exchange
	named bool
	name  string
	asked bool
}

func (l *login) next(ctx context.Context, response []byte) ([]byte, *Identity, error) {
	switch {
	case !l.named && len(response) == 0 && !l.asked:
		l.asked = true
		return []byte("Username:"), nil, nil
	case !l.named:
		l.named, l.name = true, string(response)
		return []byte("Password:"), nil, nil
	}
	id, err := l.e.password(ctx, l.name, string(response))
	return nil, id, err
}
