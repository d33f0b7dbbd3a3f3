package main

import (
	"fmt"
	"io"

	"postrider/configs"
)

// judges are those outside of our rules that the listener asks, in order. An explanation asks none:
// what they say depends on the message, and some remember that they were asked.
func judges(config *configs.Config, listener string) []string {
	var list []string
	failing := func(accept bool) string {
		if accept {
			return "accept"
		}
		return "tempfail"
	}
	for _, m := range config.Milters[listener] {
		list = append(list, fmt.Sprintf("data: milter %s at %s, failure: %s", m.Name, m.Address, failing(m.Accept)))
	}
	for _, s := range config.PolicyServices[listener] {
		stage := "rcpt"
		if s.Data {
			stage = "data"
		}
		list = append(list, fmt.Sprintf("%s: policy service %s at %s, failure: %s", stage, s.Name, s.Address, failing(s.Accept)))
	}
	for _, h := range config.Hooks[listener] {
		list = append(list, fmt.Sprintf("data: hook %s, failure: %s", h.Name, failing(h.Accept)))
	}
	return list
}

func (e *explanation) printJudges(w io.Writer) {
	printList(w, "Would be asked too, and could refuse, hold or change it", e.Judges)
}
