package milter

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-milter"

	"postrider/relay"
)

// conclude makes a judgement of what the milter said.
func (f *Milter) conclude(m *relay.Message, act *milter.Action, changes []milter.ModifyAction, space bool) (relay.Judgement, error) {
	switch act.Code {
	case milter.ActAccept, milter.ActContinue:
		return f.change(m, changes, space)
	case milter.ActDiscard:
		return f.judgement(relay.Ruling{Edits: &relay.Edits{Discard: true}}, "discard"), nil
	case milter.ActReject:
		reply := relay.NewReply(550, relay.EnhancedCode{5, 7, 1}, "Message rejected").For(relay.ReasonPolicy)
		return f.judgement(relay.Refusal(reply), "reject"), nil
	case milter.ActTempFail:
		reply := relay.NewReply(451, relay.EnhancedCode{4, 7, 1}, "Service unavailable, try again later").For(relay.ReasonPolicy)
		return f.judgement(relay.Refusal(reply), "tempfail"), nil
	case milter.ActReplyCode:
		reply, err := relay.JudgeReply(act.SMTPCode, act.SMTPText)
		if err != nil {
			return relay.Judgement{}, err
		}
		return f.judgement(relay.Refusal(reply), "reply "+reply.String()), nil
	}
	return relay.Judgement{}, fmt.Errorf("it answers %q, which is no decision", rune(act.Code))
}

// change does what the milter wants changed, all of it or nothing.
func (f *Milter) change(m *relay.Message, changes []milter.ModifyAction, space bool) (relay.Judgement, error) {
	c := changing{m: m, space: space, fields: parse(m.Header), rcpts: slices.Clone(m.Envelope.Recipients)}
	for i := range changes {
		if err := c.apply(&changes[i]); err != nil {
			return relay.Judgement{}, err
		}
	}
	words := "pass"
	if len(c.said) > 0 {
		words = strings.Join(c.said, ", ")
	}
	said := f.judgement(relay.Ruling{}, words)
	if c.edited {
		said.Header = c.section()
	}
	if c.regrouped {
		c.edits.Recipients = c.rcpts
	}
	if c.regrouped || c.edits.Sender != nil || c.edits.Held != "" {
		if c.edits.Held != "" {
			c.edits.Held = "milter " + f.o.Name + ": " + c.edits.Held
		}
		said.Edits = &c.edits
	}
	return said, nil
}

// changing is a message on its way to what the milter wants it to be.
type changing struct {
	m      *relay.Message
	space  bool
	fields []field
	rcpts  []relay.Recipient
	edits  relay.Edits
	// edited says that the header is changed, regrouped that the recipients are.
	edited, regrouped bool
	said              []string
}

func (c *changing) apply(a *milter.ModifyAction) error {
	switch a.Code {
	case milter.ActAddHeader:
		return c.put(len(c.fields), a)
	case milter.ActInsertHeader:
		// What is ours stays on top, where it says how the message came here.
		return c.put(min(1+int(min(a.HeaderIndex, 1<<20)), len(c.fields)), a)
	case milter.ActChangeHeader:
		return c.replace(a)
	case milter.ActAddRcpt:
		return c.addRcpt(a.Rcpt)
	case milter.ActDelRcpt:
		return c.removeRcpt(a.Rcpt)
	case milter.ActChangeFrom:
		sender, err := relay.ParseAddress(bare(a.From))
		if err != nil {
			return fmt.Errorf("it wants the sender %q: %w", a.From, err)
		}
		c.edits.Sender = &sender
		c.say("sender <%s>", sender)
	case milter.ActQuarantine:
		c.edits.Held = relay.JudgeText(a.Reason)
		c.say("quarantine: %s", c.edits.Held)
	default:
		return errors.New("it wants the body replaced, which it was told is not to be had")
	}
	return nil
}

func (c *changing) say(format string, args ...any) {
	c.said = append(c.said, fmt.Sprintf(format, args...))
}

// put puts a field in at an index.
func (c *changing) put(at int, a *milter.ModifyAction) error {
	f, err := c.written(a)
	if err != nil {
		return err
	}
	c.fields = slices.Insert(c.fields, at, f)
	c.edited = true
	c.say("header %s added", a.HeaderName)
	return nil
}

// replace changes the n-th field of a name, n from 1, or takes it away. Where there are fewer, one
// is added.
func (c *changing) replace(a *milter.ModifyAction) error {
	n := uint32(0)
	for i := 1; i < len(c.fields); i++ {
		if !strings.EqualFold(c.fields[i].name, a.HeaderName) {
			continue
		}
		if n++; n != max(a.HeaderIndex, 1) {
			continue
		}
		c.edited = true
		if a.HeaderValue == "" {
			c.fields = slices.Delete(c.fields, i, i+1)
			c.say("header %s removed", a.HeaderName)
			return nil
		}
		f, err := c.written(a)
		if err != nil {
			return err
		}
		c.fields[i] = f
		c.say("header %s changed", a.HeaderName)
		return nil
	}
	if a.HeaderValue == "" {
		return nil
	}
	return c.put(len(c.fields), a)
}

// written is the field that the milter wants. It can end neither itself nor the header early.
func (c *changing) written(a *milter.ModifyAction) (field, error) {
	for _, r := range []byte(a.HeaderName) {
		if r <= ' ' || r >= 0x7f || r == ':' {
			return field{}, fmt.Errorf("it wants a header field named %q", a.HeaderName)
		}
	}
	if a.HeaderName == "" || strings.EqualFold(a.HeaderName, "Received") {
		return field{}, fmt.Errorf("it wants a header field named %q written", a.HeaderName)
	}
	value := strings.ReplaceAll(strings.ReplaceAll(a.HeaderValue, "\r", ""), "\x00", "")
	var lines []string
	for line := range strings.SplitSeq(value, "\n") {
		if strings.TrimSpace(line) == "" && len(lines) > 0 {
			continue // RFC 5322 section 3.2.2 has no lines of white space alone
		}
		if len(lines) > 0 && line[0] != ' ' && line[0] != '\t' {
			line = "\t" + line
		}
		lines = append(lines, line)
	}
	value = strings.Join(lines, "\r\n")
	if !c.space {
		value = " " + value
	}
	return field{name: a.HeaderName, value: value + "\r\n", raw: []byte(a.HeaderName + ":" + value + "\r\n")}, nil
}

// section puts the header section together.
func (c *changing) section() []byte {
	var section []byte
	for _, f := range c.fields {
		section = append(section, f.raw...)
	}
	return append(section, "\r\n"...)
}

func (c *changing) addRcpt(text string) error {
	a, err := relay.ParseAddress(bare(text))
	if err != nil || a.IsNull() {
		return fmt.Errorf("it wants the recipient %q: %w", text, errors.Join(err, errors.New("not an address")))
	}
	c.rcpts = append(c.rcpts, relay.Recipient{Address: a, Notify: relay.NotifyNever})
	c.regrouped = true
	c.say("recipient <%s> added", a)
	return nil
}

func (c *changing) removeRcpt(text string) error {
	a, err := relay.ParseAddress(bare(text))
	if err != nil {
		return fmt.Errorf("it does not want the recipient %q: %w", text, err)
	}
	for i, r := range c.rcpts {
		if strings.EqualFold(r.Address.String(), a.String()) {
			c.edits.Removed = append(c.edits.Removed, r)
			c.rcpts = slices.Delete(c.rcpts, i, i+1)
			c.regrouped = true
			c.say("recipient <%s> removed", a)
			return nil
		}
	}
	return nil
}

// bare takes an address out of its angle brackets.
func bare(text string) string {
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(text), "<"), ">")
}
