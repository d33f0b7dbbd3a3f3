package inbound

import (
	"encoding/base64"
	"strings"

	"postrider/relay"
)

// auth runs an AUTH exchange (RFC 4954 section 4).
func (s *session) auth(argument string) *relay.Reply {
	line, reply := s.gateAuth(argument)
	if reply != nil {
		return reply
	}
	_, line, _ = strings.Cut(line, " ")
	mechanism, initial, given := strings.Cut(line, " ")
	server, err := s.Auth(mechanism)
	if err != nil {
		return asReply(err)
	}
	var response []byte
	if given {
		response = decodeResponse(initial)
	}
	for {
		challenge, done, err := server.Next(response)
		if err != nil {
			s.say(asReply(err)) // it has been counted
			return nil
		}
		if done {
			return s.welcome()
		}
		s.say(relay.NewReply(334, relay.EnhancedCode{}, base64.StdEncoding.EncodeToString(challenge)))
		line, ok := s.command()
		if !ok {
			return nil
		}
		if line = s.gateExchange(line); line == "*" {
			s.say(&replyCancelled)
			return nil
		}
		response = decodeResponse(line)
	}
}

// welcome ends an exchange that has named the user.
func (s *session) welcome() *relay.Reply {
	if reply := s.server.roster.move(s); reply != nil {
		s.observe("auth", reply)
		return reply
	}
	return &replyAuthenticated
}

// decodeResponse decodes what is known to be base64, or "=" for an empty response.
func decodeResponse(text string) []byte {
	response, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return []byte{}
	}
	return response
}
