package inbound

import (
	"encoding/base64"
	"errors"
	"strings"

	"github.com/emersion/go-sasl"

	"postrider/relay"
)

// exchangeLength is the longest line of an AUTH exchange (RFC 4954 section 4).
const exchangeLength = 12288

// errSASL says that the client's side of an exchange makes no sense.
var errSASL = errors.New("malformed SASL response")

// mayAuth says whether AUTH is offered: where passwords are safe from listeners.
func (s *session) mayAuth() bool {
	if !s.listener.authenticates() {
		return false
	}
	network, _ := s.listener.network()
	return s.origin.TLS != "" || network == "unix" || s.origin.Client.IsLoopback()
}

// AuthMechanisms is what EHLO offers.
func (s *session) AuthMechanisms() []string {
	if !s.mayAuth() {
		return nil
	}
	return []string{sasl.Plain, sasl.Login}
}

func (s *session) gateAuth(argument string) (string, *relay.Reply) {
	switch {
	case !s.listener.authenticates():
		return "", &replyNoAuth
	case !s.greeted || !s.esmtp:
		return "", &replyNoGreeting
	case s.origin.User != "":
		return "", &replyAgain
	case s.begun:
		return "", &replyInMail
	case !s.mayAuth():
		return "", &replyNeedTLS
	case !s.waits():
		return "", s.lastly(&replyPipelining)
	}
	mechanism, initial, _ := strings.Cut(argument, " ")
	mechanism, initial = strings.ToUpper(mechanism), strings.TrimSpace(initial)
	switch {
	case mechanism == "":
		return "", &replySyntax
	case mechanism != sasl.Plain && mechanism != sasl.Login:
		return "", &replyMechanism
	case !isBase64(initial):
		return "", &replyBase64
	}
	return strings.TrimSpace("AUTH " + mechanism + " " + initial), nil
}

// gateExchange passes a line of an exchange on. What is not base64 cancels it, with 501
// (RFC 4954 section 4), as "*" does.
func (s *session) gateExchange(line string) string {
	if line == "*" || !isBase64(line) {
		s.exchange = false
		s.errors++
		return "*"
	}
	return line
}

// isBase64 accepts "=" too, which stands for an empty initial response.
func isBase64(text string) bool {
	_, err := base64.StdEncoding.DecodeString(text)
	return err == nil || text == "="
}

// Auth begins an exchange.
func (s *session) Auth(mechanism string) (sasl.Server, error) {
	if mechanism == sasl.Login {
		return &exchange{s: s, server: &loginServer{authenticate: s.authenticate}}, nil
	}
	return &exchange{s: s, server: sasl.NewPlainServer(func(identity, name, password string) error {
		if identity != "" && identity != name {
			return errCredentials
		}
		return s.authenticate(name, password)
	})}, nil
}

// authenticate makes the user the session's, if the password is right.
func (s *session) authenticate(name, password string) error {
	senders, err := s.server.users.check(name, password)
	if err == nil {
		s.origin.User, s.senders = name, senders
		s.setProtocol()
		return nil
	}
	reply := replyCredentials.Because(err)
	if !errors.Is(err, errCredentials) {
		// The client must not take a fault of ours for a wrong password (conformance I17).
		reply = replyUsers.Because(err)
		s.server.options.Observer.Faulted(relay.Fault{Doing: "authenticate", Err: err})
	}
	s.observe("auth", reply)
	return reply
}

// exchange is a SASL exchange: it tells the gate whose turn it is, and contains what goes
// wrong.
type exchange struct {
	s      *session
	server sasl.Server
}

// Next takes a response of the client's.
func (e *exchange) Next(response []byte) (challenge []byte, done bool, err error) {
	reply := e.s.contained("AUTH", func() *relay.Reply {
		challenge, done, err = e.server.Next(response)
		return e.refusal(err)
	})
	e.s.exchange = reply == nil && !done
	if reply != nil {
		e.s.note(reply)
		return nil, false, bare(reply)
	}
	return challenge, done, nil
}

// refusal gives the reply for what a mechanism says: what is not about the credentials is
// about the form.
func (e *exchange) refusal(err error) *relay.Reply {
	if err == nil {
		return nil
	}
	if reply, ok := errors.AsType[*relay.Reply](err); ok {
		return reply
	}
	if errors.Is(err, errCredentials) {
		return &replyCredentials
	}
	return replyBase64.Because(err)
}

// loginServer is the server's side of LOGIN, which go-sasl has only the client's side of
// (draft-murchison-sasl-login).
type loginServer struct {
	authenticate func(name, password string) error
	turn         int
	name         string
}

// Next takes the user name, then the password. A name may come as the initial response.
func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	if l.turn == 0 && response == nil {
		l.turn = 1
		return []byte("Username:"), false, nil
	}
	switch l.turn {
	case 0, 1:
		l.turn, l.name = 2, string(response)
		return []byte("Password:"), false, nil
	case 2:
		l.turn = 3
		return nil, true, l.authenticate(l.name, string(response))
	}
	return nil, false, errSASL
}
