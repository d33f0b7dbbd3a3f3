package policy_test

import (
	"testing"

	"postrider/policy"
	"postrider/relay"
)

// Each question is put to the policy of the moment, at every stage.
func TestCurrent(t *testing.T) {
	t.Parallel()
	var rules []policy.Rule
	for _, at := range []string{"connect", "mail", "rcpt", "data"} {
		rules = append(rules, policy.Rule{Name: at, At: at, Tag: []string{at}})
	}
	c := policy.NewCurrent(testPolicy(t, policy.Options{}))
	var _ relay.Policy = c
	ask := func() (tags []string, route string) {
		m := letter(t)
		for _, r := range []relay.Ruling{
			c.Connect(t.Context(), &m.Origin), c.Mail(t.Context(), m), c.Rcpt(t.Context(), m, m.Envelope.Recipients[0]), c.Data(t.Context(), m),
		} {
			if r.Edits != nil {
				tags = append(tags, r.Edits.Tags...)
			}
		}
		routing, reply := c.Route(m, m.Envelope.Recipients[0])
		if reply != nil {
			t.Fatal(reply)
		}
		return tags, routing.To.String()
	}
	if tags, route := ask(); len(tags) != 0 || route != "internet/dest.example" {
		t.Errorf("before: %q, %s", tags, route)
	}
	c.Swap(testPolicy(t, policy.Options{Rules: rules, Routes: []policy.Route{{Name: "other"}}}))
	if tags, route := ask(); len(tags) != 4 || route != "other" {
		t.Errorf("after: %q, %s", tags, route)
	}
}
