package inbound

import (
	"errors"
	"fmt"

	"github.com/emersion/go-smtp"
)

// errAborted says that a command ended a BDAT message before its last chunk.
var errAborted = errors.New("the client gave the message up")

func (s *session) mailFrom(argument string) *smtp.SMTPError {
	switch {
	case !s.greeted:
		return &replyNoGreeting
	case s.begun:
		return &replyNested
	}
	m, refused := parseMail(argument, s.home())
	switch {
	case refused != nil:
		return refused
	case !m.offered(s.listener.offers):
		return &replyParameter
	case m.RequireTLS && s.origin.TLS == "":
		return &replyRequireTLS
	}
	s.mail.priority = m.priority
	if err := s.mail.Mail(m.from, &m.MailOptions); err != nil {
		return asError(err)
	}
	s.begun = true
	if granted := s.mail.priority; granted != m.priority {
		return changedPriority(granted)
	}
	return &replySenderOk
}

// changedPriority begins with the new priority, as the enhanced code wants it (RFC 6710
// section 6).
func changedPriority(granted int8) *smtp.SMTPError {
	return &smtp.SMTPError{
		Code: 250, EnhancedCode: smtp.EnhancedCode{2, 3, 6},
		Message: fmt.Sprintf("%d is the priority, more is for authenticated users", granted),
	}
}

// rcptTo is RCPT. A refused recipient beside an accepted one is not counted as an error,
// unless it is not even an address: a relay sends on what others wrote, and a client that
// goes over the limit of recipients comes again with the rest. Nobody goes on for ever, though, with recipients that
// are refused, or named again.
func (s *session) rcptTo(argument string) *smtp.SMTPError {
	if !s.begun {
		return &replyNoMail
	}
	r, refused := parseRcpt(argument, s.home())
	if refused == nil && (len(r.Notify) > 0 || r.OriginalRecipient != "") && !s.listener.offers("DSN") {
		refused = &replyParameter
	}
	if refused != nil {
		s.refused++
		return refused
	}
	if err := s.mail.Rcpt(r.to, &r.RcptOptions); err != nil {
		s.refused++
		refused = asError(err)
		s.deferred = s.deferred || refused.Temporary()
		if s.accepted > 0 && s.refused <= s.recipientsHeard() && refused.Code != replyRecipient.Code {
			s.errors--
		}
		return refused
	}
	if s.accepted++; s.accepted > s.recipientsHeard() {
		s.idle++
	}
	return &replyRecipientOk
}

// recipientsHeard is how many recipients, accepted or refused, cost a transaction nothing: with a small limit more
// than may be accepted, for clients name what they have and learn of the limit so.
func (s *session) recipientsHeard() int { return max(s.limits.Recipients, defaultLimits().Recipients) }

// home is the domain of addresses that come without one, "" where these are refused.
func (s *session) home() string {
	if s.listener.Profile == ProfileLegacy || s.listener.Submission {
		return s.server.options.Hostname
	}
	return ""
}

// complete says whether a message can follow.
func (s *session) complete() *smtp.SMTPError {
	switch {
	case !s.begun:
		return &replyNoMail
	case s.accepted > 0:
		return nil
	case s.deferred: // who hears of this reply alone must not give up
		return &replyNoRcptYet
	case s.refused > 0:
		return &replyNoValidRcpt
	}
	return &replyNoRcpt
}

func (s *session) data(argument string) *smtp.SMTPError {
	if argument != "" {
		return &replySyntax
	}
	// Whatever stands behind DATA is a message that did not wait to be asked for, not commands, also where there is
	// nobody to send it to (conformance I01).
	if !s.waits() {
		return s.lastly(&replyPipelining)
	}
	if refused := s.complete(); refused != nil {
		return refused
	}
	s.say(&replyGoAhead)
	return s.receive(&dots{w: s.wire})
}

// receive takes the message in and leaves the wire behind it.
func (s *session) receive(c content) *smtp.SMTPError {
	s.setPace(&pace{began: s.now()})
	defer s.setPace(nil)
	defer s.measured()
	s.failed = nil
	err := s.mail.Data(c)
	s.forget()
	if errors.Is(s.failed, errAborted) {
		return nil // the command that ended it has its own reply
	}
	s.finish(c)
	reply := asError(err)
	if reply.Code == 250 {
		s.errors, s.idle = 0, 0
	}
	return reply
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
	s.mail.Reset()
	s.forget()
}

func (s *session) forget() { s.begun, s.accepted, s.refused, s.deferred = false, 0, 0, false }
