package configs

import (
	"fmt"

	"postrider/outbound"
	"postrider/relay"
)

// reply is a rule for what refusals are about.
type reply struct {
	Name     string      `yaml:"name"`
	Code     string      `yaml:"code"`
	Enhanced string      `yaml:"enhanced"`
	Match    string      `yaml:"match"`
	Class    relay.Class `yaml:"class"`
	Sample   string      `yaml:"sample"`
}

// composeReplies gives outbound the rules. One without a name is known by its place.
func (f *file) composeReplies() []outbound.ReplyRule {
	var rules []outbound.ReplyRule
	for i, r := range f.Replies {
		rule := outbound.ReplyRule(r)
		setDefault(&rule.Name, fmt.Sprintf("replies[%d]", i))
		rules = append(rules, rule)
	}
	return rules
}

func (f *file) checkReplies(r *report) {
	for i, rule := range f.composeReplies() {
		if err := rule.Validate(); err != nil {
			r.fault(fmt.Sprintf("replies[%d]", i), "%s", err)
		}
	}
}
