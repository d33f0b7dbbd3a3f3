package milter

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/emersion/go-milter"

	"postrider/relay"
)

// conversation is about one message.
type conversation struct {
	f *Milter
	s *milter.ClientSession
	m *relay.Message
}

// hold says everything about the message until the milter has decided. What it wants changed comes
// with its answer to the end of the message only.
func (c *conversation) hold(body io.Reader) (*milter.Action, []milter.ModifyAction, error) {
	for _, step := range []func() (*milter.Action, error){c.connect, c.helo, c.mail, c.rcpts, c.header, func() (*milter.Action, error) { return c.body(body) }} {
		act, err := step()
		if err != nil || act.Code != milter.ActContinue {
			return act, nil, err
		}
	}
	if err := c.s.Macros(milter.CodeEOB, "i", c.m.ID.String()); err != nil {
		return nil, nil, err
	}
	changes, act, err := c.s.End()
	return act, changes, err
}

func (c *conversation) connect() (*milter.Action, error) {
	o := &c.m.Origin
	if err := c.s.Macros(milter.CodeConn, "j", c.f.o.Hostname, "{daemon_name}", o.Listener, "v", "Postrider"); err != nil {
		return nil, err
	}
	switch a := o.Client; {
	case !a.IsValid():
		return c.s.Conn("localhost", milter.FamilyUnknown, 0, "")
	case a.Is4():
		return c.s.Conn("["+a.String()+"]", milter.FamilyInet, 0, a.String())
	default:
		return c.s.Conn("[IPv6:"+a.String()+"]", milter.FamilyInet6, 0, "IPv6:"+a.String())
	}
}

func (c *conversation) helo() (*milter.Action, error) { return c.s.Helo(c.m.Origin.Greeting) }

func (c *conversation) mail() (*milter.Action, error) {
	e := &c.m.Envelope
	macros := []string{"i", c.m.ID.String(), "{mail_addr}", e.Sender.String()}
	if user := c.m.Origin.User; user != "" {
		macros = append(macros, "{auth_authen}", user, "{auth_type}", "PLAIN")
	}
	if err := c.s.Macros(milter.CodeMail, macros...); err != nil {
		return nil, err
	}
	var args []string
	if e.SMTPUTF8 {
		args = append(args, "SMTPUTF8")
	}
	return c.s.Mail(e.Sender.String(), args)
}

// rcpts asks about each recipient. All of them were accepted: the message shares the fate of the one
// that the milter refuses, which its client hears of.
func (c *conversation) rcpts() (*milter.Action, error) {
	for _, r := range c.m.Envelope.Recipients {
		if err := c.s.Macros(milter.CodeRcpt, "{rcpt_addr}", r.Address.String()); err != nil {
			return nil, err
		}
		act, err := c.s.Rcpt(r.Address.String(), nil)
		if err != nil || act.Code != milter.ActContinue {
			return act, err
		}
	}
	return &milter.Action{Code: milter.ActContinue}, nil
}

// header shows the fields, but for the Received field that we have put on top.
func (c *conversation) header() (*milter.Action, error) {
	for _, f := range parse(c.m.Header)[1:] {
		act, err := c.s.HeaderField(f.name, f.told(c.s.ProtocolOption(milter.OptHeaderLeadingSpace)))
		if err != nil || act.Code != milter.ActContinue {
			return act, err
		}
	}
	return c.s.HeaderEnd()
}

func (c *conversation) body(r io.Reader) (*milter.Action, error) {
	if c.s.ProtocolOption(milter.OptNoBody) {
		return &milter.Action{Code: milter.ActContinue}, nil
	}
	chunk := make([]byte, milter.MaxBodyChunk)
	for {
		n, err := io.ReadFull(r, chunk)
		if n > 0 {
			act, err := c.s.BodyChunk(chunk[:n])
			if err != nil || act.Code != milter.ActContinue {
				return act, err
			}
		}
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			return &milter.Action{Code: milter.ActContinue}, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the body: %w", err)
		}
	}
}

// field is a header field as it is written, with what follows its colon.
type field struct {
	name, value string
	// raw is the whole field, which is kept as long as nobody changes it.
	raw []byte
}

// parse takes a header section apart. The empty line at its end is not among the fields; there is
// always a first one, be it without a name.
func parse(section []byte) []field {
	var fields []field
	for line := range bytes.Lines(section) {
		if n := len(fields); n > 0 && (line[0] == ' ' || line[0] == '\t') {
			fields[n-1].raw = append(fields[n-1].raw, line...)
			continue
		}
		if len(bytes.TrimRight(line, "\r\n")) > 0 {
			fields = append(fields, field{raw: bytes.Clone(line)})
		}
	}
	for i := range fields {
		name, value, _ := bytes.Cut(fields[i].raw, []byte{':'})
		fields[i].name, fields[i].value = strings.TrimRight(string(name), " \t\r\n"), string(value)
	}
	if len(fields) == 0 {
		return []field{{}}
	}
	return fields
}

// told is the value as milters are told it: lines end with LF, and the space behind the colon is
// theirs to see only where they ask for it.
func (f *field) told(space bool) string {
	value := strings.ReplaceAll(strings.TrimSuffix(f.value, "\r\n"), "\r\n", "\n")
	if !space {
		value = strings.TrimPrefix(value, " ")
	}
	return value
}
