package policy

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"postrider/relay"
)

// compiler makes the actions of one rule, and gathers what is wrong with them.
type compiler struct {
	policy  *Policy
	rule    *Rule
	at      stage
	path    string
	faults  *faults
	actions []action
	words   []string
	// edits says that an action changes what passes.
	edits bool
}

// text is what the rule does, in words.
func (c *compiler) text() string { return strings.Join(c.words, ", ") }

func (c *compiler) fault(field string, err error) { c.faults.add(err, "%s.%s", c.path, field) }

// do adds an action and what it is called.
func (c *compiler) do(a action, words string, args ...any) {
	if a != nil {
		c.actions, c.edits = append(c.actions, a), true
	}
	c.words = append(c.words, fmt.Sprintf(words, args...))
}

// answer adds an action that changes nothing, but may refuse.
func (c *compiler) answer(a action, words string, args ...any) {
	c.actions = append(c.actions, a)
	c.words = append(c.words, fmt.Sprintf(words, args...))
}

func (c *compiler) compile() {
	before := len(*c.faults)
	c.message()
	c.header()
	c.recipients()
	c.rewrite()
	c.limit()
	c.hold()
	c.ends()
	if len(c.words) == 0 && len(*c.faults) == before {
		c.faults.add(errors.New("does nothing: accept, reject, defer, discard, hold or a change is needed"), "%s", c.path)
	}
}

// ends compiles what ends the stage.
func (c *compiler) ends() {
	r := c.rule
	given := 0
	for _, is := range []bool{r.Accept, r.Reject != "", r.Defer != "", r.Discard} {
		if is {
			given++
		}
	}
	if given > 1 {
		c.faults.add(errors.New("only one of accept, reject, defer and discard is possible"), "%s", c.path)
		return
	}
	refuses := r.Reject != "" || r.Defer != ""
	if (refuses || r.Discard) && len(c.words) > 0 {
		c.faults.add(errors.New("changes mail that it does not let pass"), "%s", c.path)
		return
	}
	switch {
	case r.Accept:
		c.do(nil, "accept")
	case r.Discard:
		c.do(func(_ context.Context, _ *facts, d *decision) error {
			d.edits.Discard = true
			return nil
		}, "discard")
	case r.Reject != "":
		c.reply("reject", r.Reject, 5)
	case r.Defer != "":
		c.reply("defer", r.Defer, 4)
	}
}

// reply compiles a refusal.
func (c *compiler) reply(field, text string, class int) {
	reply, err := parseReply(text, class)
	if err != nil {
		c.fault(field, err)
		return
	}
	// For the log: the client reads the text only.
	reply.Err = fmt.Errorf("rule %s", c.rule.Name)
	c.answer(func(_ context.Context, _ *facts, d *decision) error {
		own := reply
		d.ruling.Reply = &own
		return nil
	}, "%s %s", field, reply)
}

// hold compiles the quarantine.
func (c *compiler) hold() {
	why := c.rule.Hold
	if why == "" {
		return
	}
	c.do(func(_ context.Context, _ *facts, d *decision) error {
		if d.edits.Held == "" {
			d.edits.Held = why
		}
		return nil
	}, "hold: %s", why)
}

// limit compiles a rate.
func (c *compiler) limit() {
	l := c.rule.Limit
	if l == nil {
		return
	}
	if l.Rate.Count < 1 || l.Rate.Per <= 0 {
		c.fault("limit.rate", errors.New("a rate such as 1000/1h is needed"))
		return
	}
	if l.Rate.Of != relay.Messages && l.Rate.Of != relay.Recipients {
		c.fault("limit.rate", fmt.Errorf("%s cannot be limited by a rule", l.Rate.Of))
		return
	}
	by, err := c.policy.compileText(l.By, c.at)
	if err != nil {
		c.fault("limit.by", err)
		return
	}
	by.countFor(c.rule.Name)
	name, rate := c.rule.Name, l.Rate
	over := relay.NewReply(450, relay.EnhancedCode{4, 7, 1}, "Too much in too short a time, try again later").For(relay.ReasonRate)
	c.answer(func(_ context.Context, f *facts, d *decision) error {
		key := by.text(f)
		if f.err != nil {
			return f.err
		}
		units := 1
		if rate.Of == relay.Recipients {
			units = max(1, len(d.list))
		}
		if c.policy.meters.over(name+"\x00"+short(key), rate, units, c.policy.now()) {
			d.said = fmt.Sprintf("over the limit of %s for %q", rate, key)
			d.ruling.Reply = over.Because(fmt.Errorf("rule %s: %s", name, d.said))
		}
		return nil
	}, "limit %s", rate)
}

// message compiles what concerns the message as a whole.
func (c *compiler) message() {
	r := c.rule
	if len(r.Tag) > 0 {
		tags := r.Tag
		if slices.Contains(tags, "") {
			c.fault("tag", errors.New("a tag has a name"))
		}
		c.do(func(_ context.Context, f *facts, d *decision) error {
			d.edits.Tags = append(d.edits.Tags, tags...)
			f.tags = append(slices.Clip(f.tags), tags...)
			f.forget(nameTags)
			return nil
		}, "tag %s", strings.Join(tags, " "))
	}
	if r.Priority != nil {
		priority := int8(max(-9, min(9, *r.Priority)))
		if int(priority) != *r.Priority {
			c.fault("priority", fmt.Errorf("%d is not from -9 to 9", *r.Priority))
		}
		c.do(func(_ context.Context, _ *facts, d *decision) error {
			d.edits.Priority = &priority
			return nil
		}, "priority %d", priority)
	}
	if r.Flow != "" {
		c.flow()
	}
	if r.Route != "" {
		route := r.Route
		c.do(func(_ context.Context, _ *facts, d *decision) error {
			d.edits.Route = route
			return nil
		}, "route %s", route)
	}
	c.security()
}

func (c *compiler) flow() {
	flow, err := c.template(c.rule.Flow)
	if err != nil {
		c.fault("flow", err)
		return
	}
	c.do(func(_ context.Context, f *facts, d *decision) error {
		d.edits.Flow = relay.Flow(short(flow.text(f))) // a part of keys on disk
		return f.err
	}, "flow %s", c.rule.Flow)
}

// security compiles what is asked of TLS and of signatures.
func (c *compiler) security() {
	r := c.rule
	if word := r.RequireTLS; word != "" {
		level, ok := map[string]relay.Encryption{"encrypt": relay.EncryptionRequired, "verify": relay.EncryptionVerified}[word]
		if !ok {
			c.fault("require_tls", fmt.Errorf("%q is not encrypt or verify", word))
		}
		c.do(func(_ context.Context, _ *facts, d *decision) error {
			d.edits.Encryption = max(d.edits.Encryption, level)
			return nil
		}, "require TLS (%s)", word)
	}
	if keys := r.SignWith; len(keys) > 0 {
		c.do(func(_ context.Context, _ *facts, d *decision) error {
			d.edits.SignWith = append(d.edits.SignWith, keys...)
			return nil
		}, "sign with %s", strings.Join(keys, " "))
	}
}

// header compiles the changes of the header section.
func (c *compiler) header() {
	for i, name := range c.rule.RemoveHeader {
		if err := checkFieldPattern(name); err != nil {
			c.fault(fmt.Sprintf("remove_header[%d]", i), err)
		}
		c.do(func(_ context.Context, _ *facts, d *decision) error {
			d.edits.Header = append(d.edits.Header, relay.HeaderEdit{Name: name, Remove: true})
			return nil
		}, "remove header %s", name)
	}
	c.fields("set_header", "set header", c.rule.SetHeader, true)
	c.fields("add_header", "add header", c.rule.AddHeader, false)
}

func (c *compiler) fields(key, words string, list []string, replace bool) {
	for i, text := range list {
		field := fmt.Sprintf("%s[%d]", key, i)
		name, value, ok := strings.Cut(text, ":")
		if !ok || strings.TrimSpace(value) == "" {
			c.fault(field, fmt.Errorf(`%q is not a field such as "X-Name: value"`, text))
			continue
		}
		if err := checkFieldName(name); err != nil {
			c.fault(field, err)
			continue
		}
		t, err := c.template(strings.TrimSpace(value))
		if err != nil {
			c.fault(field, err)
			continue
		}
		c.do(func(_ context.Context, f *facts, d *decision) error {
			d.edits.Header = append(d.edits.Header, relay.HeaderEdit{Name: name, Remove: replace, Value: t.text(f)})
			return f.err
		}, "%s %s", words, text)
	}
}

// The fields that rules cannot touch: they are how loops are found (RFC 5321 section 6.3).
const traceField = "received"

func checkFieldPattern(pattern string) error {
	if _, err := path.Match(pattern, ""); err != nil || pattern == "" || strings.Trim(pattern, "*?") == "" {
		return fmt.Errorf("%q is not the name of a field, or a pattern such as X-Internal-*", pattern)
	}
	if matches, _ := path.Match(strings.ToLower(pattern), traceField); matches {
		return errors.New("the Received fields stay: by them loops are found")
	}
	return nil
}

func checkFieldName(name string) error {
	if len(name) > 70 || strings.EqualFold(name, traceField) {
		return fmt.Errorf("a field %q cannot be written", name)
	}
	for i := range len(name) {
		if name[i] <= ' ' || name[i] >= 0x7f {
			return fmt.Errorf("%q is not the name of a field", name)
		}
	}
	if name == "" {
		return errors.New("a field has a name")
	}
	return nil
}
