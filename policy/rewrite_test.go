package policy_test

import (
	"strings"
	"testing"

	"postrider/policy"
	"postrider/relay"
)

// Fields that no program would call proper are rewritten too: a message that waits for its
// From to become so waits for ever.
func TestRewriteOddFields(t *testing.T) {
	t.Parallel()
	p := testPolicy(t, policy.Options{Rules: []policy.Rule{{
		Name: "r", At: "data", KeepReplies: true,
		RewriteSender: []policy.Rewrite{{Match: "@host.internal", To: "@example.com"}, {Match: "root", To: "root@example.com"}},
	}}})
	for from, want := range map[string]string{
		"=?windows-1252?Q?M=FCller?= <app@host.internal>": "=?windows-1252?Q?M=FCller?= <app@example.com>",
		"M\xfcller <app@host.internal>":                   "M\xfcller <app@example.com>",
		"root":                                            "root@example.com",
		"root (Cron Daemon)":                              "root@example.com (Cron Daemon)",
		"\"A, B\" <app@host.internal>, x@y.test":          "\"A, B\" <app@example.com>, x@y.test",
		"somebody else":                                   "",
		"<app@host.internal":                              "<app@example.com",
	} {
		m := letter(t)
		m.Header = []byte("From: " + from + "\r\nSubject: x\r\n\r\n")
		r := ruling(t, p, "data", m)
		got, replies := "", ""
		if r.Edits != nil {
			for _, h := range r.Edits.Header {
				if h.Name == "Reply-To" {
					replies = h.Value
				} else {
					got = h.Value
				}
			}
		}
		if r.Reply != nil || got != want || want != "" && replies != from {
			t.Errorf("%q: got %q, replies to %q (%v), want %q", from, got, replies, r.Reply, want)
		}
	}
}

// What cannot be rewritten is refused for good: it would not become better by trying again.
func TestRewriteFails(t *testing.T) {
	t.Parallel()
	p := testPolicy(t, policy.Options{Rules: []policy.Rule{{
		Name: "r", At: "data", RewriteSender: []policy.Rewrite{{Match: "@host.internal", To: "*@" + strings.Repeat("long.", 40) + "example"}},
	}}})
	m := letter(t)
	m.Envelope.Sender = relay.Address{Local: strings.Repeat("x", 100), Domain: "host.internal"}
	r := ruling(t, p, "data", m)
	if text(r.Reply) != "550 5.6.0 The message's sender cannot be rewritten" || r.Edits != nil || !strings.Contains(r.Trace[0].Said, "longer than") {
		t.Errorf("got %v, %v, %v", r.Reply, r.Edits, r.Trace)
	}
}
