package policy

import (
	"errors"
	"fmt"

	"postrider/relay"
)

// rule is a Rule, ready to be asked. A zero reply accepts.
type rule struct {
	name  string
	when  *condition
	reply relay.Reply
}

// answer is the rule's reply, nil to accept. Each caller has its own copy.
func (r *rule) answer() *relay.Reply {
	if r.reply.Code == 0 {
		return nil
	}
	reply := r.reply
	return &reply
}

// compileRules sorts the rules by their stage.
func compileRules(options []Rule) (byStage [stages][]rule, err error) {
	var faults []error
	for i, o := range options {
		path := fmt.Sprintf("rules[%d]", i)
		reply, err := o.action(path)
		if err != nil {
			faults = append(faults, err)
		}
		at, err := parseStage(o.At)
		if err != nil {
			faults = append(faults, &FieldError{Path: path + ".at", Err: err})
			continue
		}
		when, fault := compile(o.When, at)
		if fault != nil {
			fault.Path = path + ".when"
			faults = append(faults, fault)
			continue
		}
		byStage[at] = append(byStage[at], rule{name: o.Name, when: when, reply: reply})
	}
	return byStage, errors.Join(faults...)
}

// action reads the one action of a rule.
func (r *Rule) action(path string) (relay.Reply, error) {
	given := 0
	for _, is := range []bool{r.Accept, r.Reject != "", r.Defer != ""} {
		if is {
			given++
		}
	}
	if given != 1 {
		return relay.Reply{}, &FieldError{Path: path, Err: errors.New("one of accept, reject and defer is needed")}
	}
	text, class, field := r.Reject, 5, ".reject"
	if r.Defer != "" {
		text, class, field = r.Defer, 4, ".defer"
	}
	if r.Accept {
		return relay.Reply{}, nil
	}
	reply, err := parseReply(text, class)
	if err != nil {
		return relay.Reply{}, &FieldError{Path: path + field, Err: err}
	}
	// For the log: the client reads the text only.
	reply.Err = fmt.Errorf("rule %s", r.Name)
	return reply, nil
}
