package inbound

import (
	"unicode/utf8"

	"github.com/emersion/go-smtp"
)

// obey does what a command line says and returns the reply, nil where it has been given.
func (s *session) obey(line, verb, argument string) *smtp.SMTPError {
	if !isText(line) {
		return &replyBadBytes
	}
	switch verb {
	case "EHLO", "HELO":
		return s.hello(verb, argument)
	case "MAIL":
		return s.mailFrom(argument)
	case "RCPT":
		return s.rcptTo(argument)
	case "DATA":
		return s.data(argument)
	case "BDAT":
		return s.chunk(argument)
	case "RSET":
		s.reset()
		return &replyOk
	case "NOOP":
		return &replyOk
	case "QUIT":
		return s.lastly(&replyBye)
	case "AUTH":
		return s.authenticate(argument)
	case "XCLIENT":
		return s.xclient(argument)
	case "STARTTLS":
		return s.upgrade(argument)
	case "VRFY":
		return &replyVerify
	case "EXPN", "HELP":
		return &replyNotHere
	case "GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "PRI":
		// A browser was made to speak to us; what follows may be commands in its body.
		return s.lastly(&replyHTTP)
	}
	return &replyUnknown
}

func isText(line string) bool {
	for i := range len(line) {
		if c := line[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return utf8.ValidString(line)
}

// waits says whether the client waits for the reply to this command, as it must where the
// command may not stand inside a pipelined group (RFC 2920 section 3.1).
func (s *session) waits() bool { return s.in.Buffered() == 0 }

// authenticate is AUTH, where it is offered. Who wants to be known by a password is no longer known
// by a certificate.
func (s *session) authenticate(argument string) *smtp.SMTPError {
	if !s.listener.offers("AUTH") {
		return &replyNoAuth
	}
	if s.certified && !s.begun {
		s.origin.User, s.certified, s.identity = "", false, nil
	}
	return s.auth(argument)
}

// upgrade is STARTTLS (RFC 3207).
func (s *session) upgrade(argument string) *smtp.SMTPError {
	switch {
	case argument != "":
		return &replySyntax
	case s.origin.TLS != "":
		return &replyTLSAgain
	case s.tls == nil || !s.listener.offers("STARTTLS"):
		return &replyNoTLS
	case !s.greeted:
		return &replyNoGreeting
	case s.begun:
		return &replyInMail
	case s.origin.User != "":
		return &replyAgain
	}
	s.say(&replyReady)
	if s.out.Flush() == nil && s.secure(nil) {
		s.greeted, s.esmtp, s.origin.Greeting = false, false, ""
		s.setProtocol()
	}
	return nil
}
