package inbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"

	"github.com/emersion/go-smtp"

	"postrider/relay"
)

// session is one client's session and stands at both ends of go-smtp: it is the connection
// that go-smtp reads commands from, one at a time and each past the gate, and the
// smtp.Session that go-smtp calls for them. Everything runs on go-smtp's goroutine
// for the connection.
type session struct {
	net.Conn // for its addresses; Read, Write and Close are the session's
	*wire
	ctx         context.Context
	server      *Server
	listener    Listener
	tls         *tls.Config
	origin      *relay.Origin
	transaction *relay.Transaction
	leave       func()

	opened  bool
	greeted bool
	esmtp   bool
	// senders are those that the user may send as.
	senders senders
	// exchange says that the next line belongs to an AUTH exchange.
	exchange bool
	errors   int

	// mail and rcpt are what the gate made of the command that go-smtp is about to see.
	mail mailCommand
	rcpt relay.Recipient
	// content is where the message is to be read from that go-smtp is about to see begin.
	content content
	// begun, accepted and refused describe the transaction: MAIL was accepted, and so many
	// recipients were accepted and refused.
	begun             bool
	accepted, refused int

	// feed is what go-smtp reads before anything else, queued a command that was read
	// but not yet looked at.
	feed, queued string
	// announce says that go-smtp's next write begins the reply to EHLO, mute how many of its
	// writes are not for the client.
	announce bool
	mute     int
	// last says that the session ends with the reply to this command, over that it has ended.
	last, over bool
	closing    sync.Once
}

var (
	_ smtp.AuthSession = (*session)(nil)
	_ net.Conn         = (*session)(nil)
)

func newSession(conn net.Conn, d *door) *session {
	s := d.server
	origin := &relay.Origin{Listener: d.options.Name, Client: clientOf(conn), Protocol: "SMTP"}
	return &session{
		Conn: conn, wire: newWire(conn, s.options.Limits, s.options.Now), ctx: s.ctx, server: s,
		listener: d.options, tls: d.tls, origin: origin, transaction: s.options.Receiver.Begin(origin),
	}
}

func clientOf(conn net.Conn) netip.Addr {
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// Read gives go-smtp the next command. It reports every end of the session as io.EOF:
// whatever there was to say has been said here.
func (s *session) Read(p []byte) (int, error) {
	if s.feed == "" {
		s.feed = s.next()
	}
	if s.feed == "" {
		return 0, io.EOF
	}
	n := copy(p, s.feed)
	s.feed = s.feed[n:]
	return n, nil
}

// Write takes go-smtp's replies. Each line of a reply is one call.
func (s *session) Write(p []byte) (int, error) {
	switch {
	case s.over:
	case s.mute > 0:
		s.mute--
	default:
		s.out.Write(p) // an error stays with the writer until the next flush
		if s.announce {
			s.announce = false
			s.out.WriteString(s.announcement())
		}
	}
	return len(p), nil
}

// announcement has the EHLO lines that go-smtp would base on its own TLS, which it has none of.
func (s *session) announcement() string {
	switch {
	case s.origin.TLS != "":
		return "250-REQUIRETLS\r\n"
	case s.tls != nil:
		return "250-STARTTLS\r\n"
	}
	return ""
}

// Close ends the session. go-smtp calls it once or twice.
func (s *session) Close() error {
	var err error
	s.closing.Do(func() {
		s.over = true
		s.leave() // before the client can know, and come again
		err = s.hangUp()
	})
	return err
}

// next returns the next command that go-smtp is to see, with its line end, or "" when the
// session has ended.
func (s *session) next() (line string) {
	defer func() {
		if r := recover(); r != nil {
			s.end(s.fault("read a command", r))
			line = ""
		}
	}()
	if !s.opened {
		s.opened = true
		s.open()
	}
	for !s.over {
		command, ok := s.command()
		if !ok {
			return ""
		}
		pass, reply := s.gate(command)
		if reply != nil {
			s.refuse(reply)
		} else if pass != "" {
			return pass + "\r\n"
		}
	}
	return ""
}

// open does what comes before the greeting, which go-smtp has put in the buffer already.
func (s *session) open() {
	if s.listener.TLS.mode() == TLSImplicit {
		if !s.secure() {
			return
		}
	} else if s.hasInput() {
		s.endUngreeted(&replyEarly)
		return
	}
	if reply := s.server.options.Receiver.Connect(s.ctx, s.origin); reply != nil {
		s.endUngreeted(reply)
	}
}

// endUngreeted ends the session with the reply in place of the greeting.
func (s *session) endUngreeted(reply *relay.Reply) {
	s.out.Reset(sink{s.wire})
	s.end(reply)
}

// secure runs the TLS handshake. A failed one ends the session without a word: in clear
// nobody would read it.
func (s *session) secure() bool {
	state, err := s.startTLS(s.ctx, s.tls)
	if err != nil {
		s.over = true
		s.observe("connect", replyHandshake.Because(err))
		return false
	}
	s.origin.TLS = describeTLS(state)
	s.setProtocol()
	return true
}

// setProtocol names the protocol as RFC 3848 does.
func (s *session) setProtocol() {
	s.origin.Protocol = "SMTP"
	if s.esmtp {
		s.origin.Protocol = "ESMTP"
		if s.origin.TLS != "" {
			s.origin.Protocol += "S"
		}
		if s.origin.User != "" {
			s.origin.Protocol += "A"
		}
	}
}

// command reads the next command line. False means that the session has ended.
func (s *session) command() (string, bool) {
	if line := s.queued; line != "" {
		s.queued = ""
		return line, true
	}
	for !s.over {
		switch {
		case s.last:
			s.over = true
			continue
		case s.errors >= s.limits.Errors:
			s.end(&replyErrors)
			continue
		case s.isDraining() && s.pace == nil:
			s.end(&replyDraining)
			continue
		}
		line, err := s.readLine(s.longest())
		switch {
		case err == nil:
			return string(line), true
		case errors.Is(err, errLineTooLong):
			s.refuse(&replyLongLine)
		default:
			s.broken(err)
		}
	}
	return "", false
}

// longest is the limit of the next line.
func (s *session) longest() int {
	if s.exchange {
		return max(s.limits.CommandLength, exchangeLength)
	}
	return s.limits.CommandLength
}

// broken ends a session that cannot be read from any more, and says so if anybody is left.
func (s *session) broken(err error) {
	switch {
	case errors.Is(err, errDraining):
		s.end(&replyDraining)
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.end(&replyIdle)
	}
	s.over = true
}

// say writes a reply.
func (s *session) say(reply *relay.Reply) {
	if !s.over {
		fmt.Fprintf(s.out, "%s\r\n", public(asReply(reply).String()))
	}
}

// end writes a reply and ends the session.
func (s *session) end(reply *relay.Reply) {
	s.say(reply)
	s.over = true
}

// refuse answers a command that does not get past the gate.
func (s *session) refuse(reply *relay.Reply) {
	s.say(reply)
	s.note(reply)
}

// note counts a refusal. 421 ends the session (RFC 5321 section 3.8).
func (s *session) note(reply *relay.Reply) {
	s.errors++
	s.last = s.last || reply.Code == 421
}

// lastly makes the reply the session's last.
func (s *session) lastly(reply *relay.Reply) *relay.Reply {
	s.last = true
	return reply
}

// observe reports a refusal of the edge's own.
func (s *session) observe(stage string, reply *relay.Reply) {
	s.server.options.Observer.Refused(relay.Refused{
		Origin: s.origin, Stage: stage, Sender: s.mail.envelope.Sender, Reply: reply,
	})
}

// fault reports a panic and returns the reply for it. The session ends after it.
func (s *session) fault(doing string, r any) *relay.Reply {
	s.last = true
	err := fmt.Errorf("panic: %v\n%s", r, debug.Stack())
	s.server.options.Observer.Faulted(relay.Fault{Doing: "session: " + doing, Err: err})
	return relay.LocalError(err)
}
