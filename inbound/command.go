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
		s.idle++
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
		s.idle++
		s.reset()
		return &replyOk
	case "NOOP":
		s.idle++
		return &replyOk
	case "QUIT":
		return s.lastly(&replyBye)
	case "AUTH":
		return s.auth(argument)
	case "XCLIENT":
		return s.xclient(argument)
	case "STARTTLS":
		return s.upgrade(argument)
	case "VRFY":
		s.idle++
		return &replyVerify
	case "EXPN", "HELP":
		return &replyNotHere
	case "GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "PRI":
		// A browser was made to speak to us; what follows may be commands in its body.
		return s.lastly(&replyHTTP)
	}
	return &replyUnknown
}

// isText says whether a line is UTF-8 without control characters, those beyond ASCII included:
// terminals obey them too (RFC 5198 section 2).
func isText(line string) bool {
	for i := range len(line) {
		switch c := line[i]; {
		case c < ' ' && c != '\t' || c == 0x7f:
			return false
		case c == 0xc2 && i+1 < len(line) && line[i+1] < 0xa0: // U+0080 to U+009F
			return false
		}
	}
	return utf8.ValidString(line)
}

// waits says whether the client waits for the reply to this command, as it must where the
// command may not stand inside a pipelined group (RFC 2920 section 3.1).
func (s *session) waits() bool { return s.in.Buffered() == 0 }

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
