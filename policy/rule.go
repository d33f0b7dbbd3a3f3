package policy

import (
	"context"
	"errors"
	"fmt"

	"postrider/relay"
)

// Rule is a condition and what follows from it. At each stage the rules are asked in their
// order. What they change is done to what passes; one with Accept, Reject, Defer or Discard
// ends the stage. Texts marked as templates may contain expressions in double braces, such as
// "{{sender.local}}@example.com".
type Rule struct {
	// Name is unique and is what logs and traces call the rule.
	Name string
	// At is the stage that asks the rule: connect, mail, rcpt or data.
	At string
	// When is the condition; "" is always true.
	When string
	// Dry says that the rule only leaves its word in the trace.
	Dry bool

	// Accept ends the stage: rules further down are not asked. Relay permission is needed
	// all the same.
	Accept bool
	// Reject is a permanent reply, such as "552 5.3.4 too large, use the file server".
	Reject string
	// Defer is a temporary reply, such as "450 4.7.1 not at night".
	Defer string
	// Discard accepts the mail and throws it away.
	Discard bool
	// Hold keeps the mail until an operator releases it; the text says why.
	Hold string
	// Limit defers what is over a rate.
	Limit *Limit

	// Redirect are templates of the addresses that take the recipient's place; at data, all recipients'.
	Redirect []string
	// AddRecipients are templates of further recipients. BCC are too, and their senders hear
	// nothing of them.
	AddRecipients, BCC []string
	// RemoveRecipients are patterns of recipients whose mail goes nowhere.
	RemoveRecipients []string
	// ReplaceRecipients change the recipients that match.
	ReplaceRecipients []Rewrite
	// AddHeader and SetHeader are header fields, "Name: template". What is set takes the
	// place of fields of the name. RemoveHeader are names, or patterns of names.
	AddHeader, SetHeader, RemoveHeader []string
	// RewriteSender changes the reverse-path and the addresses in From and Sender that match,
	// at data. With KeepReplies a message without Reply-To gets one with what From was.
	RewriteSender []Rewrite
	KeepReplies   bool

	// Tag marks the message, for rules and routes.
	Tag []string
	// Priority is from -9 to 9, more being more urgent.
	Priority *int
	// Flow is a template of whom the message competes as.
	Flow string
	// Route is the name of the route to take.
	Route string
	// RequireTLS is encrypt or verify; "" asks for nothing.
	RequireTLS string
	// SignWith are names of DKIM keys: see relay.Message.
	SignWith []string
}

// Limit is how much may pass in a time.
type Limit struct {
	Rate relay.Rate
	// By is an expression: each of its values has the whole rate.
	By string
}

// rule is a Rule, ready to be asked.
type rule struct {
	name    string
	when    *program
	dry     bool
	final   bool
	edits   bool
	actions []action
	// said is what the rule does, in words.
	said string
}

// action is something that a rule does. Its error is a failure of ours.
type action func(ctx context.Context, f *facts, d *decision) error

// final says that no rule is asked after this one.
func (r *Rule) final() bool { return r.Accept || r.Reject != "" || r.Defer != "" || r.Discard }

// compileRules sorts the rules by their stage.
func (p *Policy) compileRules(options []Rule) (byStage [stages][]rule, err error) {
	var faults faults
	for i := range options {
		o := &options[i]
		path := fmt.Sprintf("rules[%d]", i)
		at, err := parseStage(o.At)
		if err != nil {
			faults.add(err, "%s.at", path)
			continue
		}
		when, err := p.compileTest(o.When, at)
		faults.add(err, "%s.when", path)
		c := compiler{policy: p, rule: o, at: at, path: path, faults: &faults}
		c.compile()
		when.countFor(o.Name)
		byStage[at] = append(byStage[at], rule{
			name: o.Name, when: when, dry: o.Dry, final: o.final(), edits: c.edits, actions: c.actions, said: c.text(),
		})
	}
	return byStage, errors.Join(faults...)
}

// decision is what the rules of a stage have decided so far.
type decision struct {
	ruling relay.Ruling
	edits  relay.Edits
	edited bool
	// list are the recipients asked about as they are now.
	list    []relay.Recipient
	changed bool
	// said is what the present rule found out about what it does, in place of its words.
	said string
}

// ask puts the facts to the rules of a stage, in order.
func (p *Policy) ask(ctx context.Context, at stage, f *facts) relay.Ruling {
	d := decision{list: f.asked}
	rules := p.rules[at]
	t := trace{none: p.unmet[at], room: p.unmatched - f.traced()}
	for i := 0; i < len(rules); i++ {
		r := &rules[i]
		matches := r.when.test(f)
		if f.err == nil && matches {
			d.edited = d.edited || r.edits && !r.dry
			f.fail(r.act(ctx, f, &d))
			t.say(i, d.said)
		}
		if f.err != nil {
			// Temporary, never a pass.
			t.say(i, "failed: "+f.err.Error())
			d.ruling.Reply = relay.LocalError(fmt.Errorf("rule %s: %w", r.name, f.err))
		}
		if d.ruling.Reply != nil || matches && r.final && !r.dry {
			rules = rules[:i+1]
		}
	}
	t.skip(len(rules))
	d.ruling.Trace = t.list
	return d.rule()
}

// act does what the rule does, unless it is dry.
func (r *rule) act(ctx context.Context, f *facts, d *decision) error {
	if d.said = r.said; r.dry {
		d.said = "dry, would: " + r.said
		return nil
	}
	for _, a := range r.actions {
		if err := a(ctx, f, d); err != nil || d.ruling.Reply != nil {
			return err
		}
	}
	return nil
}

// rule is what the decision comes to.
func (d *decision) rule() relay.Ruling {
	if d.ruling.Reply == nil && d.edited {
		if d.changed {
			d.edits.Recipients = d.list
			if d.list == nil {
				d.edits.Recipients = []relay.Recipient{}
			}
		}
		d.ruling.Edits = &d.edits
	}
	return d.ruling
}
