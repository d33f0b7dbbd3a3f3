package inbound

import (
	"errors"

	"postrider/relay"
)

// errAborted says that a command ended a BDAT message before its last chunk.
var errAborted = errors.New("the client gave the message up")

func (s *session) mailFrom(argument string) *relay.Reply {
	switch {
	case !s.greeted:
		return &replyNoGreeting
	case s.begun:
		return &replyNested
	case s.limits.MessagesPerConnection > 0 && s.messages >= s.limits.MessagesPerConnection:
		s.observe("mail", &replyEnough)
		return &replyEnough
	}
	mail, reply := parseMail(argument, s.home())
	if reply != nil {
		return reply
	}
	if !mail.offered(s.listener.offers) {
		return &replyParameter
	}
	if mail.envelope.RequireTLS && s.origin.TLS == "" {
		return &replyRequireTLS
	}
	s.mail = mail
	if reply := s.permit(); reply != nil {
		s.observe("mail", reply)
		return reply
	}
	if reply := s.meterMessage(); reply != nil {
		return reply
	}
	if reply := s.transaction.Mail(s.ctx, mail.envelope, mail.size); reply != nil {
		return reply
	}
	s.begun = true
	return &replySenderOk
}

// permit decides what AUTH has to say about a MAIL.
func (s *session) permit() *relay.Reply {
	if s.listener.Auth == AuthRequired && s.origin.User == "" {
		return &replyNeedAuth
	}
	return s.server.users.Mail(s.identity, s.mail.envelope.Sender)
}

// rcptTo is RCPT. A refused recipient beside an accepted one is not counted as an error: a
// relay sends on what others wrote, and a client that goes over the limit of recipients
// comes again with the rest.
func (s *session) rcptTo(argument string) *relay.Reply {
	if !s.begun {
		return &replyNoMail
	}
	rcpt, reply := parseRcpt(argument, s.home(), s.mail.envelope.SMTPUTF8)
	if reply == nil && (rcpt.Notify != 0 || rcpt.Original != "") && !s.listener.offers("DSN") {
		reply = &replyParameter
	}
	if reply != nil {
		s.refused++
		return reply
	}
	if reply := s.admitRcpt(rcpt); reply != nil {
		s.refused++
		if s.accepted > 0 {
			s.errors--
		}
		return reply
	}
	s.meterSender()
	s.accepted++
	return &replyRecipientOk
}

// home is the domain of addresses that come without one, "" where these are refused.
func (s *session) home() string {
	if s.listener.Profile == ProfileLegacy || s.listener.Submission {
		return s.server.options.Hostname
	}
	return ""
}

// admitRcpt asks the rates first.
func (s *session) admitRcpt(rcpt relay.Recipient) *relay.Reply {
	if reply := s.meterRecipient(); reply != nil {
		return reply
	}
	return s.transaction.Rcpt(s.ctx, rcpt)
}

// complete says whether a message can follow.
func (s *session) complete() *relay.Reply {
	switch {
	case !s.begun:
		return &replyNoMail
	case s.accepted > 0:
		return nil
	case s.refused > 0:
		return &replyNoValidRcpt
	}
	return &replyNoRcpt
}

func (s *session) data(argument string) *relay.Reply {
	if argument != "" {
		return &replySyntax
	}
	if reply := s.complete(); reply != nil {
		return reply
	}
	if !s.waits() {
		return s.lastly(&replyPipelining)
	}
	s.say(&replyGoAhead)
	return s.receive(&dots{w: s.wire})
}

// receive takes the message in and leaves the wire behind it.
func (s *session) receive(c content) *relay.Reply {
	s.setPace(&pace{began: s.now()})
	defer s.setPace(nil)
	s.failed = nil
	id, reply := s.transaction.Data(s.ctx, c)
	s.forget()
	if errors.Is(s.failed, errAborted) {
		return nil // the command that ended it has its own reply
	}
	s.finish(c)
	if reply != nil {
		return reply
	}
	s.errors = 0
	s.messages++
	return relay.NewReply(250, relay.EnhancedCode{2, 0, 0}, "Ok: queued as "+id.String())
}

// finish reads what is left of a message that was answered early. A session that could not
// be read to the end of its message is over: what might still come must never be read as
// commands (conformance I13).
func (s *session) finish(c content) {
	if s.failed == nil && !s.over {
		whole, err := c.swallow(s.limits.MessageSize)
		if err == nil && !whole {
			s.last = true
		}
	}
	if s.failed != nil {
		s.broken(s.failed)
	}
}

// reset forgets the transaction.
func (s *session) reset() {
	s.transaction.Reset()
	s.forget()
}

func (s *session) forget() { s.begun, s.accepted, s.refused = false, 0, 0 }
