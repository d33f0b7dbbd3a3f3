package inbound

import (
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-smtp"
)

// hello is EHLO and HELO. Both reset the session (RFC 5321 section 4.1.4).
func (s *session) hello(verb, name string) *smtp.SMTPError {
	if !s.waits() && !s.quits() {
		return s.lastly(&replyPipelining)
	}
	name, _, _ = strings.Cut(name, " ")
	if name == "" && s.listener.Profile == ProfileLegacy {
		name = "unknown"
	}
	if !isName(name) {
		return &replyName
	}
	s.reset()
	s.greeted, s.esmtp = true, verb == "EHLO"
	s.origin.Greeting = name
	s.setProtocol()
	if !s.esmtp {
		return &smtp.SMTPError{Code: 250, EnhancedCode: smtp.NoEnhancedCode, Message: s.server.options.Hostname}
	}
	s.announce()
	return nil
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

// announce answers EHLO.
func (s *session) announce() {
	lines := append([]string{s.server.options.Hostname}, s.extensions()...)
	for _, line := range lines[:len(lines)-1] {
		s.out.WriteString("250-" + line + "\r\n")
	}
	s.out.WriteString("250 " + lines[len(lines)-1] + "\r\n")
}

// extensions are the lines of EHLO's reply: a keyword each, with its parameters.
func (s *session) extensions() []string {
	lines := []string{
		"PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "CHUNKING", "SMTPUTF8", "DSN",
		fmt.Sprintf("SIZE %d", s.limits.MessageSize), s.counts(), "MT-PRIORITY",
	}
	if s.tls != nil && s.origin.TLS == "" {
		lines = append(lines, "STARTTLS")
	}
	if s.origin.TLS != "" {
		lines = append(lines, "REQUIRETLS")
	}
	if mechanisms := strings.Join(s.mail.AuthMechanisms(), " "); mechanisms != "" {
		lines = append(lines, "AUTH "+mechanisms)
		if s.listener.Profile == ProfileLegacy { // a draft's form of it is all that some know
			lines = append(lines, "AUTH="+mechanisms)
		}
	}
	if s.mayXClient() {
		lines = append(lines, "XCLIENT "+xclientNames)
	}
	return slices.DeleteFunc(lines, func(line string) bool {
		keyword, _, _ := strings.Cut(strings.ReplaceAll(line, "=", " "), " ")
		return !s.listener.offers(keyword)
	})
}

// counts is the keyword of RFC 9422.
func (s *session) counts() string {
	line := fmt.Sprintf("LIMITS RCPTMAX=%d", s.limits.Recipients)
	if most := s.limits.MessagesPerConnection; most > 0 {
		line += fmt.Sprintf(" MAILMAX=%d", most)
	}
	return line
}
