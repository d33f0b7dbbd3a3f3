package policy

import (
	"fmt"
	"strings"
)

// stage is a moment at which rules are asked.
type stage uint8

const (
	connect stage = iota
	mail
	rcpt
	data
	stages
	// routing is when routes are asked: at rcpt and later, again and again. They know what is
	// known at rcpt.
	routing
)

func (s stage) String() string {
	return [...]string{"connect", "mail", "rcpt", "data", "?", "routes"}[min(s, routing)]
}

func parseStage(text string) (stage, error) {
	for s := range stages {
		if text == s.String() {
			return s, nil
		}
	}
	return stages, fmt.Errorf("%q is not one of connect, mail, rcpt, data", text)
}

// span gives the first and the last stage at which a name of the environment has a value.
func span(name string) (first, last stage) {
	root, _, _ := strings.Cut(name, ".")
	switch {
	case name == "client.helo", root == "user", root == "sender", root == "tags":
		return mail, data
	case root == "recipient":
		return rcpt, rcpt
	case root == "recipients", root == "size", root == "subject", root == "header",
		root == "spf", root == "dkim", root == "dmarc":
		return data, data
	}
	return connect, data
}

// checkKnown says why a name cannot be used at a stage.
func checkKnown(name string, at stage) error {
	if at == routing {
		if name == "rate" {
			return fmt.Errorf("rate is not for routes, which are asked again and again")
		}
		at = rcpt
	}
	switch first, last := span(name); {
	case at < first && first == rcpt:
		return fmt.Errorf("%s is known only at rcpt and to routes", name)
	case at < first && first == last:
		return fmt.Errorf("%s is known only at %s", name, first)
	case at < first:
		return fmt.Errorf("%s is not known at %s, only from %s on", name, at, first)
	case at > last:
		return fmt.Errorf("%s is known only at rcpt and to routes; at data there are recipients, as in any(recipients, .domain == \"example.com\")", name)
	}
	return nil
}
