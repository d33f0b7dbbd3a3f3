package policy

import (
	"errors"
	"fmt"
	"strings"

	"postrider/relay"
)

// template is a text with expressions in double braces.
type template struct {
	// texts stand before, between and behind the expressions.
	texts       []string
	expressions []*program
}

// compileTemplate reads a template. Each expression gives a text.
func (p *Policy) compileTemplate(text string, at stage) (*template, error) {
	t := &template{}
	for {
		before, rest, found := strings.Cut(text, "{{")
		t.texts = append(t.texts, before)
		if !found {
			return t, nil
		}
		inner, after, closed := strings.Cut(rest, "}}")
		if !closed {
			return nil, errors.New("{{ without }}")
		}
		made, err := p.compileText(strings.TrimSpace(inner), at)
		if at, ok := errors.AsType[*FieldError](err); ok {
			// The place is within the expression, and not within the whole text.
			return nil, fmt.Errorf("{{%s}}: %w", inner, at.Err)
		}
		if strings.TrimSpace(inner) == "" {
			return nil, errors.New("{{}} is empty")
		}
		t.expressions = append(t.expressions, made)
		text = after
	}
}

// template compiles a template of the rule.
func (c *compiler) template(text string) (*template, error) {
	t, err := c.policy.compileTemplate(text, c.at)
	if err == nil {
		for _, e := range t.expressions {
			e.countFor(c.rule.Name)
		}
	}
	return t, err
}

// constant says that there is no expression.
func (t *template) constant() bool { return len(t.expressions) == 0 }

// text fills in the template. A failure is the facts'.
func (t *template) text(f *facts) string {
	if t.constant() {
		return t.texts[0]
	}
	var b strings.Builder
	for i, text := range t.texts {
		b.WriteString(text)
		if i < len(t.expressions) {
			b.WriteString(t.expressions[i].text(f))
		}
	}
	return b.String()
}

// address fills in a template of an address.
func (t *template) address(f *facts) (relay.Address, error) {
	text := t.text(f)
	if f.err != nil {
		return relay.Address{}, f.err
	}
	return parseMailbox(text)
}
