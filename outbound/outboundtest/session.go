package outboundtest

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strings"
	"time"
)

// session is one connection to a Peer. It belongs to its goroutine, but for record.
type session struct {
	peer   *Peer
	number int
	record *Session // guarded by peer.mu
	conn   net.Conn
	in     *bufio.Reader
	out    *bufio.Writer
	seen   map[Phase]int
	dirty  bool // something was written since the last flush

	pipelining bool
	mail       string // line of the MAIL command; "" outside a transaction
	rcpt, to   []string
}

func newSession(p *Peer, c net.Conn, number int, record *Session) *session {
	s := &session{peer: p, number: number, record: record, seen: make(map[Phase]int)}
	s.use(c)
	return s
}

func (s *session) use(c net.Conn) {
	s.conn, s.in, s.out = c, bufio.NewReaderSize(c, 64<<10), bufio.NewWriter(c)
}

func (s *session) run() {
	defer func() { s.conn.Close() }()
	script := s.peer.currentScript()
	if script.ImplicitTLS && !s.handshake(script.TLS) {
		return
	}
	if !s.act(Greeting, "", "220 "+script.hostname()+" ESMTP", nil) {
		return
	}
	for {
		line, err := s.readLine()
		if err != nil || !s.command(line) {
			return
		}
	}
}

func (s Script) hostname() string {
	if s.Hostname == "" {
		return "peer.test"
	}
	return s.Hostname
}

// readLine reads a command. Replies wait until there is nothing more to read, as with a real
// server, so that a flight of commands is one turn.
func (s *session) readLine() (string, error) {
	if s.in.Buffered() == 0 && !s.flush() {
		return "", io.ErrClosedPipe
	}
	line, err := s.in.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	more := s.in.Buffered() > 0
	s.peer.update(func() {
		if !s.peer.script.Forget {
			s.record.Commands = append(s.record.Commands, line)
		}
		s.record.Early = s.record.Early || more && !s.pipelining
	})
	return line, nil
}

func (s *session) flush() bool {
	if s.dirty {
		s.dirty = false
		s.peer.update(func() { s.record.Turns++ })
	}
	return s.out.Flush() == nil
}

// command answers one command; false ends the session.
func (s *session) command(line string) bool {
	switch phase := phaseOf(line); phase {
	case EHLO, HELO:
		return s.hello(phase, line)
	case STARTTLS:
		return s.startTLS(line)
	case AUTH:
		return s.auth(line)
	case MAIL:
		reply := "250 2.1.0 Ok"
		if s.mail != "" {
			reply = "503 5.5.1 Nested MAIL"
		}
		return s.act(phase, line, reply, func() { s.mail, s.rcpt, s.to = line, nil, nil })
	case RCPT:
		return s.act(phase, line, s.rcptReply(), func() {
			s.rcpt, s.to = append(s.rcpt, line), append(s.to, address(line))
		})
	case DATA:
		return s.data(line)
	case BDAT:
		return s.bdat(line)
	case QUIT:
		s.peer.update(func() { s.record.Quit = true })
		s.act(phase, line, "221 2.0.0 Bye", nil)
		s.flush()
		return false
	case RSET:
		return s.act(phase, line, "250 2.0.0 Ok", s.reset)
	case NOOP:
		return s.act(phase, line, "250 2.0.0 Ok", nil)
	default:
		return s.act(Unknown, line, "500 5.5.1 Unknown command", nil)
	}
}

func phaseOf(line string) Phase {
	verb, _, _ := strings.Cut(line, " ")
	phase := Phase(strings.ToUpper(verb))
	known := []Phase{EHLO, HELO, STARTTLS, AUTH, MAIL, RCPT, DATA, BDAT, RSET, NOOP, QUIT}
	if !slices.Contains(known, phase) {
		return Unknown
	}
	return phase
}

// address takes the mailbox out of a MAIL or RCPT line.
func address(line string) string {
	_, rest, _ := strings.Cut(line, "<")
	inner, _, _ := strings.Cut(rest, "> ")
	return strings.TrimSuffix(inner, ">")
}

func (s *session) reset() { s.mail, s.rcpt, s.to = "", nil, nil }

func (s *session) rcptReply() string {
	if s.mail == "" {
		return "503 5.5.1 MAIL first"
	}
	return "250 2.1.5 Ok"
}

func (s *session) hello(phase Phase, line string) bool {
	script := s.peer.currentScript()
	lines := []string{script.hostname()}
	if phase == EHLO {
		lines = append(lines, s.extensions(script)...)
	}
	reply := multiline(lines)
	s.pipelining = false
	return s.act(phase, line, reply, func() {
		s.reset()
		s.pipelining = phase == EHLO && slices.Contains(lines, "PIPELINING")
	})
}

func (s *session) extensions(script Script) []string {
	list := script.Extensions
	if list == nil {
		list = DefaultExtensions
	}
	list = slices.Clone(list)
	_, encrypted := s.conn.(*tls.Conn)
	if script.TLS != nil && !encrypted {
		list = append(list, "STARTTLS")
	}
	if mechanisms := script.mechanisms(); len(mechanisms) > 0 {
		list = append(list, "AUTH "+strings.Join(mechanisms, " "))
	}
	return list
}

func (s Script) mechanisms() []string {
	if s.Mechanisms == nil && s.Users != nil {
		return []string{"PLAIN", "LOGIN"}
	}
	return s.Mechanisms
}

func multiline(lines []string) string {
	var b strings.Builder
	for i, line := range lines {
		separator := "-"
		if i == len(lines)-1 {
			separator = " "
		}
		b.WriteString("250" + separator + line + "\r\n")
	}
	return b.String()
}

func (s *session) startTLS(line string) bool {
	script := s.peer.currentScript()
	if script.TLS == nil {
		return s.act(STARTTLS, line, "502 5.5.1 Not offered", nil)
	}
	start := false
	if !s.act(STARTTLS, line, "220 2.0.0 Ready", func() { start = true }) || !s.flush() {
		return false
	}
	s.pipelining = false
	return !start || s.handshake(script.TLS)
}

func (s *session) handshake(config *tls.Config) bool {
	c := tls.Server(s.conn, config)
	if c.Handshake() != nil {
		return false
	}
	s.use(c)
	s.peer.update(func() { s.record.TLS, s.record.ServerName = true, c.ConnectionState().ServerName })
	return true
}

func (s *session) auth(line string) bool {
	a := s.ask(AUTH, line)
	reply := "535 5.7.8 Authentication failed"
	// A scripted reply stands in for the dialogue.
	if a.Reply == "" && !a.Hang && !a.Drop && s.checkUser(line) {
		reply = "235 2.7.0 Authenticated"
	}
	return s.do(a, reply, nil)
}

// act asks the script and answers. False ends the session.
func (s *session) act(phase Phase, line, usual string, done func()) bool {
	return s.do(s.ask(phase, line), usual, done)
}

// do answers as the action says, with the usual reply where it has none. Done is called when
// the reply says that the command succeeded.
func (s *session) do(a Action, usual string, done func()) bool {
	if a.Reply == "" && !a.Drop {
		a.Reply = usual
	}
	if a.Wait != nil {
		s.flush()
		select {
		case <-a.Wait:
		case <-s.peer.done:
			return false
		}
	}
	if a.Delay > 0 {
		s.flush()
		s.pause(a.Delay)
	}
	if a.Hang {
		return s.stop(a)
	}
	if done != nil && (strings.HasPrefix(a.Reply, "2") || strings.HasPrefix(a.Reply, "3")) {
		done()
	}
	switch {
	case a.Reply == "":
	case a.Trickle > 0:
		s.trickle(a)
	default:
		s.say(a.Reply)
	}
	return s.stop(a)
}

func (s *session) ask(phase Phase, line string) Action {
	s.seen[phase]++
	on := s.peer.currentScript().On
	if on == nil {
		return Action{}
	}
	return on(Event{Phase: phase, Line: line, Session: s.number, N: s.seen[phase], Recipients: slices.Clone(s.to)})
}

// stop hangs or drops the connection where the action says so. False ends the session.
func (s *session) stop(a Action) bool {
	switch {
	case a.Hang:
		s.flush()
		<-s.peer.done
		return false
	case a.Drop:
		s.flush()
		return false
	}
	return true
}

func (s *session) say(reply string) {
	if !strings.HasSuffix(reply, "\n") {
		reply += "\r\n"
	}
	s.dirty = true
	s.out.WriteString(reply)
}

func (s *session) trickle(a Action) {
	s.flush()
	for _, b := range []byte(a.Reply + "\r\n") {
		s.pause(a.Trickle)
		if _, err := s.conn.Write([]byte{b}); err != nil {
			return
		}
	}
}

func (s *session) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.peer.done:
	}
}
