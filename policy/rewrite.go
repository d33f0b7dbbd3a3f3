package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"postrider/relay"
)

// Rewrite changes addresses. Match is an address, "@domain", or a pattern with * and ?. To
// is an address; "@domain" keeps the local part; a * in it stands for what the first *
// of Match stood for.
type Rewrite struct {
	Match, To string
	// In are where senders are rewritten: envelope, from and sender. Default: all of them.
	In []string
}

// rewrite is a Rewrite, ready to be used.
type rewrite struct {
	match, to string
	in        []string
}

// The places of senders.
const (
	inEnvelope = "envelope"
	inFrom     = "from"
	inSender   = "sender"
)

func compileRewrite(o Rewrite) (*rewrite, error) {
	w := &rewrite{match: strings.ToLower(o.Match), to: o.To, in: o.In}
	if w.match == "" {
		return nil, errors.New("match is an address, @domain or a pattern such as *@*.example.com")
	}
	if strings.HasPrefix(w.match, "@") {
		w.match = "*" + w.match
	}
	star := strings.Contains(w.to, "*")
	if star && !strings.Contains(w.match, "*") {
		return nil, fmt.Errorf("the * in %q stands for nothing in %q", o.To, o.Match)
	}
	if _, err := parseMailbox(strings.ReplaceAll(w.local(w.to, "x"), "*", "x")); err != nil {
		return nil, fmt.Errorf("to %q: an address or @domain is needed", o.To)
	}
	for _, place := range w.in {
		if place != inEnvelope && place != inFrom && place != inSender {
			return nil, fmt.Errorf("%q is not one of envelope, from, sender", place)
		}
	}
	return w, nil
}

// local puts a local part in front of "@domain".
func (w *rewrite) local(to, local string) string {
	if strings.HasPrefix(to, "@") {
		return local + to
	}
	return to
}

// rewrite gives the address in place of one that matches. An address that cannot be made
// is an error.
func (w *rewrite) rewrite(address string) (relay.Address, bool, error) {
	if !glob(w.match, address) {
		return relay.Address{}, false, nil
	}
	local := address
	if at := strings.LastIndexByte(address, '@'); at >= 0 {
		local = address[:at]
	}
	to := strings.ReplaceAll(w.local(w.to, local), "*", w.star(address))
	a, err := parseMailbox(to)
	if err != nil {
		return a, false, fmt.Errorf("rewrite %q: %w", address, err)
	}
	return a, true, nil
}

// star is what the first * of the pattern stands for: the shortest text that will do.
func (w *rewrite) star(address string) string {
	before, after, ok := strings.Cut(w.match, "*")
	if !ok {
		return ""
	}
	skip := len([]rune(before))
	runes := []rune(address)
	for end := skip; end <= len(runes); end++ {
		if glob(after, string(runes[end:])) {
			return string(runes[skip:end])
		}
	}
	return ""
}

// is says that senders are rewritten in that place.
func (w *rewrite) is(place string) bool { return len(w.in) == 0 || slices.Contains(w.in, place) }

// rewrite compiles the change of senders.
func (c *compiler) rewrite() {
	if len(c.rule.RewriteSender) == 0 {
		if c.rule.KeepReplies {
			c.fault("keep_replies", errors.New("goes with rewrite_sender"))
		}
		return
	}
	if c.at != data {
		c.fault("rewrite_sender", fmt.Errorf("senders are rewritten at data, not at %s", c.at))
		return
	}
	var list []*rewrite
	for i, o := range c.rule.RewriteSender {
		w, err := compileRewrite(o)
		if err != nil {
			c.fault(fmt.Sprintf("rewrite_sender[%d]", i), err)
			return
		}
		list = append(list, w)
	}
	keep := c.rule.KeepReplies
	c.do(func(_ context.Context, f *facts, d *decision) error {
		err := rewriteEnvelope(list, f, d)
		if err == nil {
			err = rewriteFields(list, f.message, d, keep)
		}
		if err != nil {
			// It is the message, and would be the next time: a temporary reply leads nowhere.
			d.said = err.Error()
			d.ruling.Reply = relay.NewReply(550, relay.EnhancedCode{5, 6, 0}, "The message's sender cannot be rewritten").For(relay.ReasonContent).Because(err)
		}
		return nil
	}, "rewrite sender")
}

// rewriteEnvelope changes the reverse-path. The null reverse-path stays: it says that nobody
// wants to hear of failures.
func rewriteEnvelope(list []*rewrite, f *facts, d *decision) error {
	sender := f.message.Envelope.Sender
	if sender.IsNull() {
		return nil
	}
	for _, w := range list {
		if !w.is(inEnvelope) {
			continue
		}
		to, ok, err := w.rewrite(senderAddress(sender).Address)
		if err != nil {
			return err
		}
		if ok {
			d.edits.Sender = &to
			return nil
		}
	}
	return nil
}

// rewriteFields changes From and Sender.
func rewriteFields(list []*rewrite, m *relay.Message, d *decision, keep bool) error {
	for _, place := range []string{inFrom, inSender} {
		for _, value := range m.Fields(place) {
			now, changed, err := rewriteField(list, place, value)
			if err != nil {
				return fmt.Errorf("the field %s: %w", place, err)
			}
			if !changed {
				continue
			}
			d.edits.Header = append(d.edits.Header, relay.HeaderEdit{Name: place, From: value, Value: now})
			if keep && place == inFrom && m.Field("Reply-To") == "" {
				d.edits.Header = append(d.edits.Header, relay.HeaderEdit{Name: "Reply-To", Remove: true, Value: value})
			}
		}
	}
	return nil
}

// rewriteField changes the addresses of a field that match. All else of it stays as it is.
func rewriteField(list []*rewrite, place, value string) (string, bool, error) {
	var b strings.Builder
	last := 0
	for _, m := range mailboxes(value) {
		text := value[m.start:m.end]
		if a, err := relay.ParseAddress(text); err == nil {
			text = senderAddress(a).Address
		}
		for _, w := range list {
			if !w.is(place) {
				continue
			}
			to, ok, err := w.rewrite(text)
			if err != nil {
				return value, false, err
			}
			if ok {
				b.WriteString(value[last:m.start] + to.String())
				last = m.end
				break
			}
		}
	}
	b.WriteString(value[last:])
	return b.String(), b.String() != value, nil
}
