package inbound

import (
	"encoding/base64"
	"strings"

	"postrider/inbound/auth"
	"postrider/relay"
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

// mechanisms is what EHLO offers.
func (s *session) mechanisms() []string {
	if !s.mayAuth() {
		return nil
	}
	return s.server.users.Mechanisms()
}

// auth is AUTH (RFC 4954 section 4).
func (s *session) auth(argument string) *relay.Reply {
	switch {
	case !s.listener.authenticates():
		return &replyNoAuth
	case !s.greeted || !s.esmtp:
		return &replyNoGreeting
	case s.origin.User != "":
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
	exchange, ok := s.server.users.Begin(strings.ToUpper(mechanism), s.origin.Client, s.listener.Name)
	if !ok {
		return &replyMechanism
	}
	var response []byte
	if initial = strings.TrimSpace(initial); initial != "" {
		var err error
		if response, err = auth.Decode(initial); err != nil {
			return &replyBase64
		}
	}
	return s.negotiate(exchange, response)
}

// negotiate goes through an exchange to its end.
func (s *session) negotiate(exchange *auth.Exchange, response []byte) *relay.Reply {
	s.exchange = true
	defer func() { s.exchange = false }()
	for {
		challenge, identity, reply := exchange.Next(s.ctx, response)
		switch {
		case reply != nil:
			s.observeLogin(exchange, reply)
			return reply
		case identity != nil:
			return s.welcome(identity)
		}
		s.say(relay.NewReply(334, relay.EnhancedCode{}, base64.StdEncoding.EncodeToString(challenge)))
		line, ok := s.command()
		switch {
		case !ok:
			return nil
		case line == "*":
			return &replyCancelled
		}
		var err error
		if response, err = auth.Decode(line); err != nil {
			return &replyBase64
		}
	}
}

// observeLogin reports who was not let in. A malformed exchange says nothing about anybody.
func (s *session) observeLogin(exchange *auth.Exchange, reply *relay.Reply) {
	if reply.Code == replyBase64.Code {
		return
	}
	relay.Refuse(s.server.options.Observer, relay.Refused{Origin: s.origin, Stage: "auth", Login: exchange.User(), Reply: reply})
}

// welcome makes the user the session's.
func (s *session) welcome(identity *auth.Identity) *relay.Reply {
	s.identity, s.origin.User = identity, identity.User
	s.setProtocol()
	if reply := s.server.roster.move(s); reply != nil {
		s.observe("auth", reply)
		return reply
	}
	return &replyAuthenticated
}

// screen holds the message to what its user may send.
func (s *session) screen(m *relay.Message) *relay.Reply {
	if s.identity == nil {
		return nil
	}
	return s.server.users.Header(s.identity, m.Fields("From"))
}
