package inbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"strings"

	"github.com/emersion/go-smtp"

	"postrider/inbound/auth"
	"postrider/relay"
)

// session is one client's session. Everything runs on one goroutine, that of run.
type session struct {
	*wire
	// ctx is that of all sessions.
	ctx      context.Context
	server   *Server
	door     *door
	listener *Listener
	keys     *keyring
	tls      *tls.Config
	origin   *relay.Origin
	// mail is what the commands about mail are handed to.
	mail *transaction
	// place is the session's entry in the roster, which owns it.
	place place

	// peer is the other end as XCLIENT does not change it. With proxied it is a load
	// balancer that has yet to name its client.
	peer    netip.Addr
	proxied bool
	// near says that the connection itself, be it a load balancer's, is from this host.
	near    bool
	greeted bool
	esmtp   bool
	// certified says that the user is so by a certificate, not by AUTH.
	certified bool
	// identity is what the user who has authenticated may do, nil where nothing is known.
	identity *auth.Identity
	// unheard says that the client has tried to authenticate and could not be heard for now.
	unheard bool
	// exchange says that the next line belongs to an AUTH exchange.
	exchange bool
	// errors counts commands refused since the last message, idle those that bring none nearer.
	errors, idle int

	// begun, accepted and refused describe the transaction: MAIL was accepted, and so many
	// recipients were accepted and refused, some of them only for now if deferred.
	begun             bool
	accepted, refused int
	deferred          bool

	// queued is a command that was read but not yet obeyed.
	queued string
	// last says that the session ends with the reply to this command, over that it has ended.
	last, over bool
}

func newSession(conn net.Conn, d *door) *session {
	s, m := d.server, d.manners.Load()
	origin := &relay.Origin{Listener: m.options.Name, Client: clientOf(conn), Protocol: "SMTP"}
	opened := &session{
		wire: newWire(conn, m.options.Limits, s.options.Now), ctx: s.ctx, server: s, door: d,
		listener: &m.options, keys: m.keys, tls: m.tls, origin: origin, peer: origin.Client, near: origin.Client.IsLoopback(),
	}
	opened.mail = &transaction{s: opened}
	handling := m.options.handling()
	handling.Screen = opened.mail.screen
	opened.mail.relay = s.options.Receiver.BeginWith(origin, handling)
	return opened
}

func clientOf(conn net.Conn) netip.Addr {
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		// A zone names an interface of ours and not the client, and no network has one.
		return a.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

// run is the session from its greeting to its end.
func (s *session) run() {
	defer s.close()
	s.begin()
	for !s.over {
		s.turn()
	}
}

func (s *session) begin() {
	defer s.contain()
	s.open()
}

// turn takes a command, obeys it and answers.
func (s *session) turn() {
	defer s.contain()
	line, ok := s.command()
	if !ok {
		return
	}
	verb, argument, _ := strings.Cut(line, " ")
	s.answer(s.obey(line, strings.ToUpper(verb), strings.TrimSpace(argument)))
}

// close ends the session. Its place is free before the client can know, and come again.
func (s *session) close() {
	defer s.free()
	defer s.contain()
	defer s.cut() // hangUp has done it, unless something panicked
	s.over = true
	s.mail.Logout() // it cannot fail
	defer s.server.roster.forget()
	s.hangUp(s.server.roster.leave(s)) // nobody is left to tell of an error
	s.transcript.End()
}

// contain is deferred by what is not ours to trust. A panic ends this session, after a 451, and
// no other.
func (s *session) contain() {
	if r := recover(); r != nil {
		err := fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		s.server.options.Observer.Faulted(relay.Fault{Doing: "serve a session at " + s.listener.Name, Err: err})
		s.end(&replyLocal)
	}
}

// open does what comes before the first command.
func (s *session) open() {
	s.transcribe()
	if s.proxied && !s.unproxy() {
		return
	}
	if s.listener.TLS.mode() == TLSImplicit {
		ahead, _ := s.in.Peek(s.in.Buffered()) // of a handshake that came with a PROXY header
		if !s.secure(ahead) {
			return
		}
	} else if s.hasInput() || !s.waits() {
		s.end(&replyEarly)
		return
	}
	if reply := s.server.options.Receiver.Connect(s.ctx, s.origin); reply != nil {
		s.end(edge(reply))
		return
	}
	s.greet()
}

func (s *session) greet() {
	s.out.WriteString("220 " + s.server.options.Hostname + " ESMTP Postrider\r\n")
}

// secure runs the TLS handshake. A failed one ends the session without a word: in clear
// nobody would read it. Ahead is what has been read of the handshake.
func (s *session) secure(ahead []byte) bool {
	state, err := s.startTLS(s.ctx, s.tls, ahead)
	if err != nil {
		s.over = true
		s.transcript.Note("%v", err)
		s.server.tally.handshake("failed")
		s.observe("connect", replyHandshake.Because(err))
		return false
	}
	s.origin.TLS = describeTLS(state)
	s.server.tally.handshake(s.origin.TLS[:len("TLSv1.3")])
	s.transcript.Note("%s", s.origin.TLS)
	if user := s.keys.identify(state.PeerCertificates); user != "" {
		s.origin.User, s.certified, s.identity = user, true, s.server.users.Load().Identify(user)
	}
	s.setProtocol()
	return s.settle()
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

// command reads the next command line. False means that there is none: the session has ended, or an
// exchange of AUTH has with a line that is too long.
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
			s.end(s.refuse("connect", &replyErrors))
			continue
		case s.idle >= s.limits.Commands:
			s.end(s.refuse("connect", &replyCommands))
			continue
		case s.isDraining() && s.pace == nil:
			s.end(edge(&replyDraining))
			continue
		}
		line, err := s.readLine(s.longest())
		switch {
		case err == nil:
			s.heard(line)
			return string(line), true
		case errors.Is(err, errLineTooLong):
			s.transcript.Note("%v", err)
			s.answer(s.refuse("connect", &replyLongLine))
			if s.exchange { // to the client, it ended with this reply
				return "", false
			}
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
	s.transcript.Note("%v", err)
	switch {
	case errors.Is(err, errDraining):
		s.end(edge(&replyDraining))
	case errors.Is(err, os.ErrDeadlineExceeded):
		if s.pace == nil { // a message that came too slowly was reported as one
			s.observe("connect", &replyIdle)
		}
		s.end(edge(&replyIdle))
	}
	s.over = true
}

// answer gives the reply to a command, nil if that has been done, and counts refusals. 421
// ends the session (RFC 5321 section 3.8).
func (s *session) answer(reply *smtp.SMTPError) {
	if reply == nil {
		return
	}
	s.say(reply)
	if reply.Code >= 400 {
		s.note(reply)
	}
}

// note counts a refusal.
func (s *session) note(reply *smtp.SMTPError) {
	s.errors++
	s.last = s.last || reply.Code == 421
}

// say writes a reply. An error of the writer stays with it until the next flush.
func (s *session) say(reply *smtp.SMTPError) {
	if !s.over {
		s.out.Write(appendReply(s.out.AvailableBuffer(), reply))
	}
}

// end writes a reply and ends the session.
func (s *session) end(reply *smtp.SMTPError) {
	s.say(reply)
	s.over = true
}

// lastly makes the reply the session's last.
func (s *session) lastly(reply *smtp.SMTPError) *smtp.SMTPError {
	s.last = true
	return reply
}
