package outbound

import (
	"bufio"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"postrider/relay"
)

// ReplyRule classes the replies that have everything that it names. The first rule that
// matches decides.
type ReplyRule struct {
	// Name is what the rule is called in explanations.
	Name string
	// Code is a code or the beginning of one: "550", "4"; "" for any.
	Code string
	// Enhanced is an enhanced code, in which x stands for any number: "x.7.1"; "" for any and none.
	Enhanced string
	// Match is a regular expression for the text, in which letter case does not count; "" for any.
	Match string
	Class relay.Class
	// Sample is a real reply that the rule is for, with its codes.
	Sample string
}

// Classifier says what replies are about.
type Classifier struct{ rules []compiledRule }

type compiledRule struct {
	ReplyRule
	// enhanced has -1 where any number will do; nil means any and none.
	enhanced []int
	match    *regexp.Regexp
}

// NewClassifier puts rules before those that are known. The error says everything that is
// wrong with them.
func NewClassifier(own []ReplyRule) (*Classifier, error) {
	c := new(Classifier)
	var faults []error
	for _, rule := range append(own[:len(own):len(own)], ReplyRules()...) {
		compiled, err := rule.compile()
		if err != nil {
			faults = append(faults, fmt.Errorf("rule %q for replies: %w", rule.Name, err))
			continue
		}
		c.rules = append(c.rules, compiled)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return c, nil
}

// Validate says what is wrong with the rule. A sample that it has must match it.
func (r *ReplyRule) Validate() error {
	_, err := r.compile()
	return err
}

func (r *ReplyRule) compile() (compiledRule, error) {
	c := compiledRule{ReplyRule: *r}
	if r.Code == "" && r.Enhanced == "" && r.Match == "" {
		return c, errors.New("one of code, enhanced and match is needed")
	}
	if n, err := strconv.Atoi(r.Code); r.Code != "" && (err != nil || len(r.Code) > 3 || r.Code[0] != '4' && r.Code[0] != '5' || n < 4) {
		return c, fmt.Errorf("%q is not the code of a refusal, or the beginning of one", r.Code)
	}
	if r.Class == relay.ClassNone {
		return c, errors.New("a class is needed")
	}
	var err error
	if c.enhanced, err = parsePattern(r.Enhanced); err != nil {
		return c, err
	}
	if r.Match != "" {
		if c.match, err = regexp.Compile("(?i)" + r.Match); err != nil {
			return c, err
		}
	}
	if r.Sample == "" {
		return c, nil
	}
	sample, err := ParseReply(r.Sample)
	if err != nil {
		return c, fmt.Errorf("sample: %w", err)
	}
	if !c.matches(sample) {
		return c, fmt.Errorf("the sample %q does not match", r.Sample)
	}
	return c, nil
}

// parsePattern reads "x.7.1".
func parsePattern(text string) ([]int, error) {
	if text == "" {
		return nil, nil
	}
	parts := strings.Split(text, ".")
	if len(parts) != len(relay.EnhancedCode{}) {
		return nil, fmt.Errorf("%q is not an enhanced code such as 5.7.1 or x.7.x", text)
	}
	pattern := make([]int, len(parts))
	for i, part := range parts {
		n, err := strconv.Atoi(part)
		switch {
		case part == "x":
			n = -1
		case err != nil || n < 0 || n > 999:
			return nil, fmt.Errorf("%q is not an enhanced code such as 5.7.1 or x.7.x", text)
		}
		pattern[i] = n
	}
	return pattern, nil
}

func (r *compiledRule) matches(reply relay.Reply) bool {
	if !strings.HasPrefix(strconv.Itoa(reply.Code), r.Code) {
		return false
	}
	if r.enhanced != nil && reply.Enhanced == (relay.EnhancedCode{}) {
		return false
	}
	for i, n := range r.enhanced {
		if n >= 0 && n != reply.Enhanced[i] {
			return false
		}
	}
	return r.match == nil || r.match.MatchString(reply.Text)
}

// Classify finds the rule for a refusal; false where there is none.
func (c *Classifier) Classify(reply relay.Reply) (ReplyRule, bool) {
	if reply.Code < 400 {
		return ReplyRule{}, false
	}
	for i := range c.rules {
		if c.rules[i].matches(reply) {
			return c.rules[i].ReplyRule, true
		}
	}
	return ReplyRule{}, false
}

// class gives a refusal its class, where it has none yet. A stranger's host that asks for
// credentials can be given none: to wait for them would be of no use.
func (c *conn) class(reply *relay.Reply) {
	if reply.Class != relay.ClassNone || reply.Positive() {
		return
	}
	rule, _ := c.t.replies.Classify(*reply)
	reply.Class = rule.Class
	if rule.Class == relay.ClassAuth && c.route.MX {
		reply.Class = relay.ClassPolicy
	}
}

// class gives all refusals their class, and draws from it what speaks against the site.
func (d *delivery) class() {
	for i := range d.a.Replies {
		d.c.class(&d.a.Replies[i])
		d.a.Setback = d.a.Setback || d.a.Replies[i].Class.SlowsSite()
	}
}

// ParseReply reads a reply as it stands in logs and notices: "550 5.1.1 no such user", with
// several lines or one, and with what a notice puts before it ("smtp;").
func ParseReply(text string) (relay.Reply, error) {
	text = strings.TrimSpace(text)
	if kind, rest, ok := strings.Cut(text, ";"); ok && strings.EqualFold(strings.TrimSpace(kind), "smtp") {
		text = strings.TrimSpace(rest)
	}
	var lines strings.Builder
	for line := range strings.Lines(text) {
		lines.WriteString(strings.TrimRight(line, "\r\n") + "\r\n")
	}
	a, err := readReply(bufio.NewReaderSize(strings.NewReader(lines.String()), maxReplyLine))
	if err != nil {
		return relay.Reply{}, fmt.Errorf("%q does not begin like an SMTP reply, such as 550 5.1.1 no such user", text)
	}
	return a.reply(), nil
}
