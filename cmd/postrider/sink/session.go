package sink

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// The buffers of a session. Reading a large message in larger pieces is what makes the
// sink cheap.
const (
	readBuffer  = 64 << 10
	writeBuffer = 4 << 10
)

// errSessionOver ends a session without a further word.
var errSessionOver = errors.New("session over")

// session is one connection. It belongs to one goroutine.
type session struct {
	sink   *Server
	number int64
	conn   net.Conn
	r      *bufio.Reader
	w      *bufio.Writer

	tls bool
	// message is the transaction; Sender is "" before MAIL, as its brackets are kept.
	message Message
}

func newSession(s *Server, conn net.Conn) *session {
	return &session{
		sink:    s,
		conn:    conn,
		r:       bufio.NewReaderSize(conn, readBuffer),
		w:       bufio.NewWriterSize(conn, writeBuffer),
		message: Message{Client: conn.RemoteAddr().String()},
	}
}

// serve speaks SMTP until the client leaves or the context ends.
func (s *session) serve(ctx context.Context) {
	s.number = s.sink.counters.begin()
	defer s.sink.counters.end()
	ok, err := s.answer(ctx, stageConnect, "220 "+s.sink.o.Hostname+" ESMTP Postrider sink")
	if !ok && err == nil {
		err = errSessionOver
	}
	for err == nil {
		var line string
		if line, err = s.readCommand(ctx); err == nil {
			err = s.command(ctx, line)
		}
	}
	if ctx.Err() != nil {
		s.reply("421 4.3.2 Shutting down")
	}
	s.w.Flush()
}

// readCommand reads a line. Replies are held back while the client has more commands
// in the pipeline (RFC 2920 section 3.2).
func (s *session) readCommand(ctx context.Context) (string, error) {
	if err := s.arm(ctx); err != nil {
		return "", err
	}
	line, err := s.r.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

// arm prepares to read from the client: what we have to say goes out first. The deadline
// is set before ctx is looked at, so that the interrupt is never overwritten.
func (s *session) arm(ctx context.Context) error {
	if s.r.Buffered() == 0 {
		if err := s.w.Flush(); err != nil {
			return err
		}
	}
	s.conn.SetReadDeadline(s.sink.o.Now().Add(s.sink.o.Idle))
	return ctx.Err()
}

func (s *session) command(ctx context.Context, line string) error {
	verb, arg, _ := strings.Cut(line, " ")
	switch strings.ToUpper(verb) {
	case "EHLO", "HELO":
		return s.ehlo(ctx, strings.EqualFold(verb, "EHLO"), arg)
	case "STARTTLS":
		return s.startTLS(ctx)
	case "MAIL":
		return s.mail(ctx, arg)
	case "RCPT":
		return s.rcpt(ctx, arg)
	case "DATA":
		return s.data(ctx)
	case "RSET":
		s.reset()
		return s.reply("250 2.0.0 Ok")
	case "NOOP":
		return s.reply("250 2.0.0 Ok")
	case "VRFY":
		return s.reply("252 2.0.0 Send and see")
	case "QUIT":
		_, err := s.answer(ctx, stageQuit, "221 2.0.0 Bye")
		return errors.Join(err, errSessionOver)
	}
	return s.reply("500 5.5.2 Unknown command")
}

func (s *session) ehlo(ctx context.Context, extended bool, name string) error {
	s.reset()
	s.message.Helo = name
	if !extended {
		_, err := s.answer(ctx, stageEhlo, "250 "+s.sink.o.Hostname)
		return err
	}
	lines := []string{s.sink.o.Hostname, "PIPELINING", fmt.Sprintf("SIZE %d", s.sink.o.Size), "8BITMIME", "SMTPUTF8", "DSN"}
	if s.sink.o.TLS != nil && !s.tls {
		lines = append(lines, "STARTTLS")
	}
	lines = append(lines, "ENHANCEDSTATUSCODES")
	last := len(lines) - 1
	_, err := s.answer(ctx, stageEhlo, "250-"+strings.Join(lines[:last], "\r\n250-")+"\r\n250 "+lines[last])
	return err
}

func (s *session) startTLS(ctx context.Context) error {
	if s.sink.o.TLS == nil || s.tls {
		return s.reply("502 5.5.1 Not offered")
	}
	ok, err := s.answer(ctx, stageStartTLS, "220 2.0.0 Go ahead")
	if !ok || err != nil {
		return err
	}
	if s.r.Buffered() > 0 { // RFC 3207 section 4.2: nothing sent in clear may count as protected
		return errSessionOver
	}
	if err := s.w.Flush(); err != nil {
		return err
	}
	conn := tls.Server(s.conn, s.sink.o.TLS)
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	s.tls = true
	s.r.Reset(conn)
	s.w.Reset(conn)
	s.reset()
	return nil
}

func (s *session) mail(ctx context.Context, arg string) error {
	path, params, ok := parsePath(arg, "FROM:")
	switch {
	case !ok:
		return s.reply("501 5.5.4 Syntax: MAIL FROM:<address>")
	case s.message.begun:
		return s.reply("503 5.5.1 Nested MAIL")
	}
	ok, err := s.answer(ctx, stageMail, "250 2.1.0 Ok")
	if ok {
		s.message.begun, s.message.Sender, s.message.Parameters = true, path, params
	}
	return err
}

func (s *session) rcpt(ctx context.Context, arg string) error {
	path, _, ok := parsePath(arg, "TO:")
	switch {
	case !ok:
		return s.reply("501 5.5.4 Syntax: RCPT TO:<address>")
	case !s.message.begun:
		return s.reply("503 5.5.1 MAIL first")
	}
	ok, err := s.answer(ctx, stageRcpt, "250 2.1.5 Ok")
	if ok {
		s.message.Recipients = append(s.message.Recipients, path)
	}
	return err
}

func (s *session) data(ctx context.Context) error {
	if len(s.message.Recipients) == 0 {
		return s.reply("503 5.5.1 RCPT first")
	}
	ok, err := s.answer(ctx, stageData, "354 End with <CRLF>.<CRLF>")
	if !ok || err != nil {
		return err
	}
	if err := s.arm(ctx); err != nil {
		return err
	}
	defer s.reset()
	if err := s.readContent(); err != nil {
		return err
	}
	return s.endOfData(ctx)
}

func (s *session) reset() {
	m := &s.message
	*m = Message{Client: m.Client, Helo: m.Helo, Recipients: m.Recipients[:0], content: m.content[:0]}
}

func (s *session) reply(text string) error {
	s.w.WriteString(text)
	_, err := s.w.WriteString("\r\n")
	return err
}

// answer gives the reply of a stage, unless a fault is in its way. It says whether the
// reply was given.
func (s *session) answer(ctx context.Context, stage, reply string) (bool, error) {
	ok, err := s.pass(ctx, stage)
	if ok {
		err = s.reply(reply)
	}
	return ok, err
}

// pass does to the client what the faults say about a stage, and says whether things may
// then go their usual way.
func (s *session) pass(ctx context.Context, stage string) (bool, error) {
	if len(s.sink.o.Faults) == 0 {
		return true, nil
	}
	fault := s.sink.o.Faults.at(stage, s.sink.o.Dice)
	if fault.delay > 0 {
		if err := s.wait(ctx, fault.delay); err != nil {
			return false, err
		}
	}
	if fault.drop {
		s.sink.counters.dropped.Add(1)
		return false, errSessionOver
	}
	if fault.reply == "" {
		return true, nil
	}
	s.sink.counters.refused.Add(1)
	err := s.reply(fault.reply)
	if strings.HasPrefix(fault.reply, "421") { // RFC 5321 section 3.8: 421 closes the channel
		err = errors.Join(err, errSessionOver)
	}
	return false, err
}

// wait lets earlier replies go out, then keeps the client waiting.
func (s *session) wait(ctx context.Context, d time.Duration) error {
	if err := s.w.Flush(); err != nil {
		return err
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// parsePath reads "FROM:<path> parameters" for a given key. The path is returned
// without its angle brackets.
func parsePath(arg, key string) (path, params string, ok bool) {
	if len(arg) < len(key) || !strings.EqualFold(arg[:len(key)], key) {
		return "", "", false
	}
	rest := strings.TrimLeft(arg[len(key):], " ")
	if !strings.HasPrefix(rest, "<") {
		return "", "", false
	}
	path, params, ok = strings.Cut(rest[1:], ">")
	return path, strings.TrimSpace(params), ok
}
