package policy

import (
	"slices"
	"testing"
)

func TestMailboxes(t *testing.T) {
	t.Parallel()
	for value, want := range map[string][]string{
		"":                         nil,
		"root":                     {"root"},
		" root ":                   {"root"},
		"a@b.example":              {"a@b.example"},
		"A B <a@b.example>, c@d":   {"a@b.example", "c@d"},
		`"x, <y>" <a@b.example> z`: {"a@b.example"},
		`"a b"@c.example`:          {`"a b"@c.example`},
		"=?windows-1252?Q?M=FCller?= <a@b.example>": {"a@b.example"},
		"M\xfcller <a@b.example>":                   {"a@b.example"},
		"a@b.example (A (b) \\) <c>)":               {"a@b.example"},
		"undisclosed recipients:;":                  nil,
		"group: a@b.example, C <c@d.example>;, e@f": {"a@b.example", "c@d.example", "e@f"},
		"<@x,@y:a@b.example>":                       {"a@b.example"},
		"a@[IPv6:::1], <b@[192.0.2.1]>":             {"a@[IPv6:::1]", "b@[192.0.2.1]"},
		"<a@b":                                      {"a@b"},
		`"open`:                                     {`"open`},
		"(open":                                     nil,
		"<>":                                        nil,
	} {
		var got []string
		for _, m := range mailboxes(value) {
			got = append(got, value[m.start:m.end])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", value, got, want)
		}
	}
}

func FuzzMailboxes(f *testing.F) {
	f.Add(`"a" <b@c>, (d) e:f;`)
	f.Add("\"\\")
	f.Fuzz(func(t *testing.T, value string) {
		last := 0
		for _, m := range mailboxes(value) {
			if m.start < last || m.end <= m.start || m.end > len(value) {
				t.Fatalf("%q: %v after %d", value, m, last)
			}
			last = m.end
		}
	})
}
