package inbound

import (
	"io"
	"strconv"
	"strings"

	"github.com/emersion/go-smtp"
)

// chunk is BDAT (RFC 3030). A refused chunk is swallowed: it follows its command whatever
// the reply.
func (s *session) chunk(argument string) *smtp.SMTPError {
	if !s.listener.offers("CHUNKING") {
		return s.lastly(&replyUnknown) // what follows is content, or it is not
	}
	c := &chunks{s: s}
	if reply := c.begin(argument); reply != nil {
		return reply
	}
	reply := s.complete()
	if reply == nil {
		return s.receive(c)
	}
	s.setPace(&pace{began: s.now()})
	defer s.setPace(nil)
	s.failed = nil
	s.finish(c)
	return reply
}

// chunks reads what follows BDAT. Where a chunk ends and is not the last, it answers the
// command and waits for the next.
type chunks struct {
	s    *session
	left int64
	last bool
}

// begin reads the argument of BDAT. After a malformed one nobody knows what is
// command and what is content, so the session ends.
func (c *chunks) begin(argument string) *smtp.SMTPError {
	size, last, _ := strings.Cut(argument, " ")
	n, err := strconv.ParseUint(size, 10, 62)
	last = strings.TrimSpace(last)
	if err != nil || size[0] == '+' || last != "" && !strings.EqualFold(last, "LAST") {
		return c.s.lastly(&replySyntax)
	}
	c.left, c.last = int64(n), last != ""
	return nil
}

func (c *chunks) Read(p []byte) (int, error) {
	for c.left == 0 {
		if c.last {
			return 0, io.EOF
		}
		if !c.s.nextChunk(c) {
			c.s.failed = errAborted
			return 0, replyAborted.Because(errAborted)
		}
	}
	n, err := c.s.in.Read(p[:min(int64(len(p)), c.left)])
	c.s.measure(p[:n])
	c.left -= int64(n)
	return n, unexpected(err)
}

func (c *chunks) swallow(limit int64) (bool, error) {
	n, err := io.CopyN(io.Discard, c.s.in, min(c.left, limit))
	c.left -= n
	return c.left == 0, unexpected(err)
}

// nextChunk answers a chunk that is not the last and reads on to the next. False means that
// none will come: the session has ended, or a command is queued that ends the message.
func (s *session) nextChunk(c *chunks) bool {
	s.say(&replyMore)
	for {
		line, ok := s.command()
		if !ok {
			return false
		}
		verb, argument, _ := strings.Cut(line, " ")
		switch strings.ToUpper(verb) {
		case "BDAT":
			reply := c.begin(strings.TrimSpace(argument))
			s.answer(reply)
			return reply == nil
		case "NOOP":
			s.say(&replyOk)
		case "RSET", "QUIT", "EHLO", "HELO":
			s.queued = line
			return false
		case "MAIL", "RCPT", "DATA", "AUTH", "STARTTLS", "VRFY":
			s.answer(&replyInBDAT)
		default:
			s.answer(&replyUnknown)
		}
	}
}
