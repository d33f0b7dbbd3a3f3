package sink

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"postrider/cmd/postrider/load"
)

// Message is a transaction as the sink saw it.
type Message struct {
	Number  int64     `json:"message"`
	Session int64     `json:"session"`
	Open    int64     `json:"sessions_open"`
	At      time.Time `json:"at"`
	Client  string    `json:"client"`
	Helo    string    `json:"helo"`
	TLS     bool      `json:"tls"`
	Sender  string    `json:"from"`
	// Parameters of MAIL, as they came.
	Parameters string   `json:"parameters,omitempty"`
	Recipients []string `json:"to"`
	Size       int64    `json:"size"`
	MessageID  string   `json:"message_id,omitempty"`
	LoadID     string   `json:"load_id,omitempty"`
	Damaged    bool     `json:"damaged,omitempty"`
	Header     string   `json:"header,omitempty"`
	Content    string   `json:"content,omitempty"`

	begun    bool
	tooLarge bool
	// content is only filled where somebody keeps it. Its memory is used again for the
	// next message of the session.
	content []byte
}

// readContent reads to CRLF.CRLF and to nothing else, undoing the dots (RFC 5321 sections
// 4.1.1.4 and 4.5.2). A message over the size limit is swallowed.
func (s *session) readContent() error {
	m := &s.message
	fresh, cr := true, false // at the start of a line; the last byte was a CR
	for {
		line, err := s.r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		last := len(line) - 1
		ended := line[last] == '\n' && (last > 0 && line[last-1] == '\r' || last == 0 && cr)
		cr = line[last] == '\r'
		if fresh && line[0] == '.' {
			if ended && len(line) == 3 {
				return nil
			}
			line = line[1:]
		}
		fresh = ended
		m.Size += int64(len(line))
		m.tooLarge = m.tooLarge || m.Size > s.sink.o.Size
		if s.sink.o.Keep != nil && !m.tooLarge {
			m.content = append(m.content, line...)
		}
	}
}

// endOfData counts and keeps the message and answers for it. A message that is refused or
// whose connection is dropped here has not been taken.
func (s *session) endOfData(ctx context.Context) error {
	m, c, o := &s.message, &s.sink.counters, &s.sink.o
	if m.tooLarge {
		return s.reply("552 5.3.4 Message too large")
	}
	if ok, err := s.pass(ctx, stageDot); !ok {
		return err
	}
	m.Number = c.messages.Add(1)
	if o.Count > 0 && m.Number > o.Count {
		c.messages.Add(-1)
		return errors.Join(s.reply("421 4.3.2 Shutting down"), errSessionOver)
	}
	m.Session, m.Open, m.At, m.TLS = s.number, c.open.Load(), o.Now(), s.tls
	if o.Keep != nil {
		m.inspect()
		if err := o.Keep(m); err != nil {
			c.messages.Add(-1)
			return errors.Join(s.reply("451 4.3.0 Cannot keep it"), fmt.Errorf("keep message: %w", err))
		}
		if m.Damaged {
			c.damaged.Add(1)
		}
	}
	c.take(m)
	if o.Count > 0 && m.Number == o.Count {
		s.sink.stop()
	}
	return s.reply(fmt.Sprint("250 2.0.0 Ok: swallowed as ", m.Number))
}

// inspect reads what the header says about the message, and checks a message of postrider
// load against the sum that it carries.
func (m *Message) inspect() {
	header, body := splitContent(m.content)
	m.MessageID = headerField(header, "Message-ID")
	m.LoadID = headerField(header, load.IDField)
	if sum := headerField(header, load.SumField); sum != "" {
		m.Damaged = sum != load.BodySum(body)
	}
}

// splitContent gives the header section without the blank line that ends it, and the body.
func splitContent(content []byte) (header, body []byte) {
	if i := bytes.Index(content, []byte("\r\n\r\n")); i >= 0 {
		return content[:i+2], content[i+4:]
	}
	return content, nil
}

// headerField gives the first field of that name, "" where there is none. Folded lines
// are not joined: what is looked for is never folded by us.
func headerField(header []byte, name string) string {
	for line := range bytes.SplitSeq(header, []byte("\r\n")) {
		key, value, ok := bytes.Cut(line, []byte(":"))
		if ok && len(key) == len(name) && bytes.EqualFold(key, []byte(name)) {
			return string(bytes.TrimSpace(value))
		}
	}
	return ""
}
