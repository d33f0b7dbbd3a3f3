package inbound

import (
	"encoding/base64"
	"strings"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"postrider/inbound/auth"
)

// exchangeLength is the longest line of an AUTH exchange (RFC 4954 section 4).
const exchangeLength = 12288

// AuthInsecure says where AUTH is to be had without TLS.
type AuthInsecure string

// The values of AuthInsecure. The empty one is AuthLoopback: what is sent on loopback and Unix
// sockets does not leave the host.
const (
	AuthLoopback AuthInsecure = "loopback"
	AuthNever    AuthInsecure = "never"
)

// mayAuth says whether AUTH is offered: where nobody can listen in to passwords.
func (s *session) mayAuth() bool {
	switch {
	case !s.listener.authenticates():
		return false
	case s.origin.TLS != "":
		return true
	}
	network, _ := s.listener.network()
	near := network == "unix" || s.near && s.peer.IsLoopback()
	// Behind a proxy on this host, the way to the proxy counts too.
	client := s.origin.Client
	return s.listener.AuthInsecure != AuthNever && near && (!client.IsValid() || client.IsLoopback())
}

// auth is AUTH (RFC 4954 section 4). Who is known by a certificate may become another by a password.
func (s *session) auth(argument string) *smtp.SMTPError {
	switch {
	case !s.listener.authenticates(), !s.listener.offers("AUTH"):
		return &replyNoAuth
	case !s.greeted || !s.esmtp:
		return &replyNoGreeting
	case s.origin.User != "" && !s.certified:
		return &replyAgain
	case s.begun:
		return &replyInMail
	case !s.mayAuth():
		return &replyNeedTLS
	case !s.waits():
		return s.lastly(&replyPipelining)
	case argument == "":
		return &replySyntax
	}
	mechanism, initial, _ := strings.Cut(argument, " ")
	exchange, err := s.mail.Auth(mechanism)
	if err != nil {
		return asError(err)
	}
	var response []byte
	if initial = strings.TrimSpace(initial); initial != "" {
		if response, err = auth.Decode(initial); err != nil {
			return &replyBase64
		}
	}
	return s.negotiate(exchange, response)
}

// negotiate goes through an exchange to its end.
func (s *session) negotiate(exchange sasl.Server, response []byte) *smtp.SMTPError {
	s.exchange = true
	defer func() { s.exchange = false }()
	for {
		challenge, done, err := exchange.Next(response)
		switch {
		case err != nil:
			return asError(err)
		case done:
			return &replyAuthenticated
		}
		s.say(&smtp.SMTPError{Code: 334, EnhancedCode: smtp.NoEnhancedCode, Message: base64.StdEncoding.EncodeToString(challenge)})
		line, ok := s.command()
		switch {
		case !ok:
			return nil
		case line == "*":
			return &replyCancelled
		}
		if response, err = auth.Decode(line); err != nil {
			return &replyBase64
		}
	}
}

// disown forgets whom a certificate named: who says to be another, with a wrong password, is nobody.
func (s *session) disown() {
	if s.certified {
		s.origin.User, s.identity, s.certified = "", nil, false
		s.setProtocol()
	}
}

// welcome makes the user the session's.
func (s *session) welcome(identity *auth.Identity) error {
	s.identity, s.origin.User, s.certified, s.unheard = identity, identity.User, false, false
	s.setProtocol()
	if reply := s.server.roster.move(s); reply != nil {
		return s.refuse("auth", reply)
	}
	return nil
}
