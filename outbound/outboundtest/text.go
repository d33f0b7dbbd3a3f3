package outboundtest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
)

func (s *session) data(line string) bool {
	reply := "354 End data with <CR><LF>.<CR><LF>"
	if len(s.rcpt) == 0 {
		reply = "503 5.5.1 RCPT first"
	}
	read := false
	pipelining := s.pipelining
	s.pipelining = false
	if !s.act(DATA, line, reply, func() { read = true }) {
		return false
	}
	if !read {
		s.pipelining = pipelining
		return true
	}
	early := s.in.Buffered() > 0
	s.peer.update(func() { s.record.Early = s.record.Early || early })
	if !s.flush() || !s.body() {
		return false
	}
	s.pipelining = pipelining
	return true
}

// body reads a message to its end and answers the dot.
func (s *session) body() bool {
	a := s.ask(Body, "")
	if a.Hang || a.Drop {
		io.CopyN(io.Discard, s.in, int64(a.After))
		if a.Reply != "" {
			s.say(a.Reply)
		}
		return s.stop(a)
	}
	raw, err := s.readRaw()
	if err != nil {
		return false
	}
	m := Message{
		Session: s.number, Mail: s.mail, Rcpt: s.rcpt, From: address(s.mail), To: s.to,
		Raw: raw, Body: unstuff(raw),
	}
	s.peer.update(func() { s.record.Messages++ })
	defer s.reset()
	return s.act(Dot, "", "250 2.0.0 Ok: taken", func() { s.keep(m) })
}

// bdat reads a chunk, which is the whole message: no client of ours sends several (RFC 3030).
// A failure leaves the transaction open, as the RFC lets a server do: RSET ends it.
func (s *session) bdat(line string) bool {
	var size int64
	if n, _ := fmt.Sscanf(line, "BDAT %d LAST", &size); n != 1 || !strings.HasSuffix(line, " LAST") {
		return s.act(BDAT, line, "501 5.5.4 One chunk, and the last", nil)
	}
	var body bytes.Buffer
	if _, err := io.CopyN(&body, s.in, size); err != nil {
		return false
	}
	s.peer.update(func() { s.record.Messages++ })
	reply := fmt.Sprintf("250 2.0.0 Ok: %d octets taken", size)
	if len(s.rcpt) == 0 {
		reply = "503 5.5.1 RCPT first"
	}
	m := Message{
		Session: s.number, Mail: s.mail, Rcpt: s.rcpt, From: address(s.mail), To: s.to,
		Raw: body.Bytes(), Body: body.Bytes(),
	}
	return s.act(BDAT, line, reply, func() {
		s.reset()
		s.keep(m)
	})
}

// keep records a message that was accepted.
func (s *session) keep(m Message) {
	s.peer.update(func() {
		s.peer.count++
		if !s.peer.script.Forget {
			s.peer.messages = append(s.peer.messages, m)
		}
	})
}

func (s *session) readRaw() ([]byte, error) {
	forget := s.peer.currentScript().Forget
	var raw []byte
	start, last := true, byte('\n') // of a line; the byte before the current piece
	for {
		piece, err := s.in.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return nil, err
		}
		if !forget {
			raw = append(raw, piece...)
		}
		if start && string(piece) == ".\r\n" {
			return raw, nil
		}
		// Only CRLF ends a line.
		n := len(piece)
		start = err == nil && (n > 1 && piece[n-2] == '\r' || n == 1 && last == '\r')
		last = piece[n-1]
	}
}

// unstuff removes the final dot's line and the dots that the client added.
func unstuff(raw []byte) []byte {
	if len(raw) < 3 {
		return nil
	}
	body := raw[:len(raw)-len(".\r\n")]
	body = bytes.TrimPrefix(body, []byte("."))
	return bytes.ReplaceAll(body, []byte("\r\n."), []byte("\r\n"))
}
