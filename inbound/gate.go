package inbound

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"postrider/relay"
)

// gate looks at a command before go-smtp does. It returns the line that go-smtp is to see,
// "" where everything is done already, or the reply that refuses the command.
func (s *session) gate(line string) (string, *relay.Reply) {
	if s.exchange {
		return s.gateExchange(line), nil
	}
	if !isText(line) {
		return "", &replyBadBytes
	}
	verb, argument, _ := strings.Cut(line, " ")
	verb, argument = strings.ToUpper(verb), strings.TrimSpace(argument)
	switch verb {
	case "EHLO", "HELO":
		return s.gateGreeting(verb, argument)
	case "MAIL":
		return s.gateMail(argument)
	case "RCPT":
		return s.gateRcpt(argument)
	case "DATA":
		return s.gateData(argument)
	case "BDAT":
		return s.gateChunk(argument)
	case "AUTH":
		return s.gateAuth(argument)
	case "STARTTLS":
		return s.gateTLS(argument)
	case "RSET", "NOOP", "QUIT", "VRFY", "EXPN", "HELP":
		return verb, nil
	case "GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "PRI":
		// A browser was made to speak to us; what follows may be commands in its body.
		return "", s.lastly(&replyHTTP)
	}
	return "", &replyUnknown
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

func (s *session) gateGreeting(verb, name string) (string, *relay.Reply) {
	if !s.waits() && !s.quits() {
		return "", s.lastly(&replyPipelining)
	}
	name, _, _ = strings.Cut(name, " ")
	if !isName(name) {
		return "", &replyName
	}
	s.greeted, s.esmtp = true, verb == "EHLO"
	s.announce = s.esmtp
	s.origin.Greeting = name
	s.setProtocol()
	return verb + " " + name, nil
}

// quits says whether all that is pipelined is QUIT: health checks do that.
func (s *session) quits() bool {
	b, _ := s.in.Peek(s.in.Buffered())
	return strings.EqualFold(strings.TrimRight(string(b), "\r\n"), "QUIT")
}

// isName accepts what can stand in a Received field: names, address literals, and what
// misconfigured clients call themselves.
func isName(name string) bool {
	return name != "" && len(name) <= 255 && !strings.ContainsAny(name, "()<>\\\",;@\t")
}

func (s *session) gateMail(argument string) (string, *relay.Reply) {
	switch {
	case !s.greeted:
		return "", &replyNoGreeting
	case s.begun:
		return "", &replyNested
	}
	mail, reply := parseMail(argument)
	if reply != nil {
		return "", reply
	}
	if mail.envelope.RequireTLS && s.origin.TLS == "" {
		return "", &replyRequireTLS
	}
	s.mail = mail
	return "MAIL FROM:<" + canonical(mail.envelope.Sender, s.server.options.Hostname) + ">", nil
}

func (s *session) gateRcpt(argument string) (string, *relay.Reply) {
	if !s.begun {
		return "", &replyNoMail
	}
	rcpt, reply := parseRcpt(argument, s.mail.envelope.SMTPUTF8)
	if reply != nil {
		s.refused++
		return "", reply
	}
	s.rcpt = rcpt
	return "RCPT TO:<" + canonical(rcpt.Address, s.server.options.Hostname) + ">", nil
}

// canonical gives the address in a form that go-smtp can read. It only shows it in its
// reply.
func canonical(a relay.Address, hostname string) string {
	if a.Domain == "" && !a.IsNull() {
		a.Domain = hostname
	}
	return a.String()
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

func (s *session) gateData(argument string) (string, *relay.Reply) {
	if argument != "" {
		return "", &replySyntax
	}
	if reply := s.complete(); reply != nil {
		return "", reply
	}
	if !s.waits() {
		return "", s.lastly(&replyPipelining)
	}
	s.content = &dots{w: s.wire}
	return "DATA", nil
}

// gateChunk makes the first chunk of a message a DATA for go-smtp, whose reply to that
// nobody sees. A refused chunk is swallowed: it follows its command whatever the reply.
func (s *session) gateChunk(argument string) (string, *relay.Reply) {
	c := &chunks{s: s}
	if reply := c.begin(argument); reply != nil {
		return "", reply
	}
	reply := s.complete()
	if reply == nil {
		s.content = c
		s.mute = 1
		return "DATA", nil
	}
	s.setPace(&pace{began: s.now()})
	defer s.setPace(nil)
	whole, err := c.swallow(s.limits.MessageSize)
	if err != nil {
		s.broken(err)
	} else if !whole {
		s.last = true
	}
	return "", reply
}

// begin reads the argument of BDAT. After a malformed one nobody knows what is
// command and what is content, so the session ends.
func (c *chunks) begin(argument string) *relay.Reply {
	size, last, _ := strings.Cut(argument, " ")
	n, err := strconv.ParseUint(size, 10, 62)
	last = strings.TrimSpace(last)
	if err != nil || size[0] == '+' || last != "" && !strings.EqualFold(last, "LAST") {
		return c.s.lastly(&replySyntax)
	}
	c.left, c.last = int64(n), last != ""
	return nil
}

// nextChunk answers a chunk that is not the last and reads on to the next.
func (s *session) nextChunk(c *chunks) error {
	s.say(relay.NewReply(250, relay.EnhancedCode{2, 0, 0}, "Ok, more"))
	for {
		line, ok := s.command()
		if !ok {
			return errAborted
		}
		verb, argument, _ := strings.Cut(line, " ")
		switch strings.ToUpper(verb) {
		case "BDAT":
			if reply := c.begin(strings.TrimSpace(argument)); reply != nil {
				s.refuse(reply)
				return errAborted
			}
			return nil
		case "NOOP":
			s.say(&replyNothingDone)
		case "RSET", "QUIT", "EHLO", "HELO":
			// These end the message. They are looked at again when go-smtp is done with it.
			s.queued = line
			s.mute = 1
			return fmt.Errorf("%w with %s", errAborted, verb)
		case "MAIL", "RCPT", "DATA", "AUTH", "STARTTLS", "VRFY":
			s.refuse(&replyInBDAT)
		default:
			s.refuse(&replyUnknown)
		}
	}
}

// gateTLS runs STARTTLS itself (RFC 3207): go-smtp would go on in clear after a failed handshake.
func (s *session) gateTLS(argument string) (string, *relay.Reply) {
	switch {
	case argument != "":
		return "", &replySyntax
	case s.origin.TLS != "":
		return "", &replyTLSAgain
	case s.tls == nil:
		return "", &replyNoTLS
	case !s.greeted:
		return "", &replyNoGreeting
	case s.begun:
		return "", &replyInMail
	case s.origin.User != "":
		return "", &replyAgain
	}
	s.say(&replyReady)
	if s.out.Flush() == nil && s.secure() {
		s.greeted, s.esmtp, s.origin.Greeting = false, false, ""
		s.setProtocol()
	}
	return "", nil
}
