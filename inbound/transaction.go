package inbound

import (
	"errors"
	"io"

	"github.com/emersion/go-smtp"

	"postrider/relay"
)

// errAborted says that a command ended a BDAT message before its last chunk.
var errAborted = errors.New("the client gave the message up")

// Mail is called for a MAIL that the gate let pass; go-smtp's own reading of it is not used.
func (s *session) Mail(string, *smtp.MailOptions) error {
	reply := s.contained("MAIL", s.takeMail)
	if reply != nil {
		s.note(reply)
		return bare(reply)
	}
	s.begun = true
	return nil
}

func (s *session) takeMail() *relay.Reply {
	if reply := s.permit(); reply != nil {
		s.observe("mail", reply)
		return reply
	}
	return s.transaction.Mail(s.ctx, s.mail.envelope, s.mail.size)
}

// permit decides what AUTH has to say about a MAIL.
func (s *session) permit() *relay.Reply {
	if s.listener.Auth == AuthRequired && s.origin.User == "" {
		return &replyNeedAuth
	}
	if !s.senders.allow(s.mail.envelope.Sender) {
		return &replyForeign
	}
	return nil
}

// Rcpt is called for a RCPT that the gate let pass. A refused recipient beside an accepted
// one is not counted as an error: a relay sends on what others wrote, and a client that
// goes over the limit of recipients comes again with the rest.
func (s *session) Rcpt(string, *smtp.RcptOptions) error {
	reply := s.contained("RCPT", func() *relay.Reply { return s.transaction.Rcpt(s.ctx, s.rcpt) })
	if reply == nil {
		s.accepted++
		return nil
	}
	s.refused++
	s.note(reply)
	if s.accepted > 0 {
		s.errors--
	}
	return bare(reply)
}

// Data is called for DATA and for the first BDAT. It leaves the wire behind the message.
func (s *session) Data(io.Reader) error {
	s.setPace(&pace{began: s.now()})
	defer s.setPace(nil)
	s.failed = nil
	var id relay.ID
	reply := s.contained("DATA", func() (reply *relay.Reply) {
		id, reply = s.transaction.Data(s.ctx, s.content)
		return reply
	})
	reply = s.finish(reply)
	// go-smtp looks for the end of data, which our reader has had.
	s.feed = ".\r\n"
	if reply != nil {
		if s.queued == "" { // to give a message up is no error
			s.note(reply)
		}
		return bare(reply)
	}
	s.errors = 0
	return &smtp.SMTPError{Code: 250, EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Message: "Ok: queued as " + id.String()}
}

// finish reads what is left of a message that was answered early and gives the reply. A
// session that could not be read to the end of its message is over: what might still come
// must never be read as commands (conformance I13).
func (s *session) finish(reply *relay.Reply) *relay.Reply {
	if s.failed == nil && !s.over && s.queued == "" {
		whole, err := s.content.swallow(s.limits.MessageSize)
		if err == nil && !whole {
			s.last = true
		}
	}
	if s.failed != nil {
		s.broken(s.failed)
	}
	return reply
}

// contained runs what is not ours to trust. A panic ends the session after a 451.
func (s *session) contained(doing string, do func() *relay.Reply) (reply *relay.Reply) {
	defer func() {
		if r := recover(); r != nil {
			reply = s.fault(doing, r)
		}
	}()
	return do()
}

// Reset forgets the transaction. go-smtp calls it for RSET and EHLO and after a message.
func (s *session) Reset() {
	s.transaction.Reset()
	s.begun, s.accepted, s.refused = false, 0, 0
}

// Logout is called as the session ends.
func (s *session) Logout() error {
	s.transaction.Reset()
	return nil
}
