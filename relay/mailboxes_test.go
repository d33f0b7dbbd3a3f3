package relay_test

import (
	"net/mail"
	"slices"
	"strings"
	"testing"

	"postrider/relay"
)

func TestMailboxes(t *testing.T) {
	t.Parallel()
	for value, want := range map[string][]string{
		"a@b.example":                   {"a@b.example"},
		"A B <a@b.example>, c@d":        {"a@b.example", "c@d"},
		"g: a@b.example, C <c@d>;, e@f": {"a@b.example", "c@d", "e@f"},
		"undisclosed recipients:;":      nil,
		`"a b"@c.example`:               {"a b@c.example"},
		`"x\"y"@c.example`:              {`x"y@c.example`},
		"a@[192.0.2.1]":                 {"a@[192.0.2.1]"},
		"A\t B\t <a@b.example>":         {"a@b.example"}, // was folded

		// Names in any charset, or none.
		"=?windows-1252?Q?M=FCller?= <a@b.example>":       {"a@b.example"},
		"=?gb2312?B?1dU=?= <a@b.example>":                 {"a@b.example"},
		"=?gb2312?B?1dU=?= =?x?Q?y?= <a@b>, =?z?Q??= <c>": nil,
		"=?iso-2022-jp?B?GyRCJCIbKEI=?= <a@b.example>":    {"a@b.example"},
		"=?koi8-r*ru?q?=C2?= <a@b.example>":               {"a@b.example"},
		"=?no-charset?B?!?= <a@b.example>":                {"a@b.example"},
		"=?utf-8?B??= <a@b.example>":                      {"a@b.example"},
		"=?gb2312?Q??= <a@b.example>":                     {"a@b.example"},
		"a@b.example (=?gb2312?B?1dU=?=)":                 {"a@b.example"},
		"M\xfcller <a@b.example>":                         {"a@b.example"},
		"\"M\xfcller\xe9\" <a@b.example>":                 {"a@b.example"},
		"a@b.example (M\xfcller)":                         {"a@b.example"},
		"M\xfcller: \xe9 <a@b.example>;":                  {"a@b.example"},
		"\U0010ff22\U0010ffff? <a@b.example>":             {"a@b.example"},
		"M\u00fcller <\u00e4@b\u00e4nk.example>":          {"\u00e4@b\u00e4nk.example"},

		// Addresses stay as they are.
		"?a?@b.example":                             {"?a?@b.example"},
		"=?utf-8?Q?x=40y?=@b.example":               {"=?utf-8?Q?x=40y?=@b.example"},
		"m\xfc@b\xe4nk.example":                     {"m\xfc@b\xe4nk.example"},
		"\U0010ff3f\U0010ffff@b.example":            {"\U0010ff3f\U0010ffff@b.example"},
		"\ufffd@b.example":                          {"\ufffd@b.example"},
		"\"\U0010ff22\xfc\"@b.example":              {"\U0010ff22\xfc@b.example"},
		"=?x?Q?=3Cx=40y=3E=2C?= <a@b.example>":      {"a@b.example"},
		`"x@y, <x@y>" <a@b.example>`:                {"a@b.example"},
		`"=?gb2312?Q?\" <x@y>, " <a@b.example>`:     {"a@b.example"},
		`a@b.example (<x@y>, (\) x@y))`:             {"a@b.example"},
		"=?x?Q?y?= <a@b.example>, =?x?Q?z?= <c@d>":  {"a@b.example", "c@d"},
		"\xfc <a@b.example>,,\xe9 <c@d>, ":          {"a@b.example", "c@d"},
		`=?gb2312?Q?"?= <x@y>, "?= <a@b.example>`:   {"a@b.example"},
		`=?gb2312?Q?x?= (") <x@y> (" <a@b.example>`: nil,
		"=?gb2312?Q?<a@b.example>?= <x@y>":          nil,
		"=?gb2312?Q?a@b.example?= <x@y>":            nil,
		"=?gb2312?Q?x,?= <x@y>":                     nil,
		"a@b.example =?gb2312?Q?x?= <x@y>":          nil,
		"a@b.example <x@y>":                         nil,
		"<a@b.example> <x@y>":                       nil,
		"<a@b.example> =?gb2312?Q?x?=":              nil,
		"<a@b.example":                              nil,
		`"open <a@b.example>`:                       nil,
		"(open <a@b.example>":                       nil,
		"A\x1b$B <a@b.example>":                     nil,
		"A\r <a@b.example>":                         nil,
		"A\n <a@b.example>":                         nil,
		"A\x00 <a@b.example>":                       nil,
		"<@x,@y:a@b.example>":                       nil,
		"a@[\xfc]":                                  nil,
		"=?gb2312?B?1dU=?=":                         nil,
		"M\xfcller":                                 nil,
		"<>":                                        nil,
		"":                                          nil,
	} {
		got, err := relay.Mailboxes(value)
		if !slices.Equal(got, want) || err == nil && want == nil && !strings.Contains(value, ":;") {
			t.Errorf("%q: got %q, %v, want %q", value, got, err, want)
		}
	}
}

// FuzzMailboxes holds that what net/mail reads is read the same, and that domains stand in the field.
func FuzzMailboxes(f *testing.F) {
	f.Add(`"a" <b@c>, (d) e:f@[192.0.2.1];`)
	f.Add("=?gb2312?B?1dU=?= <a@b>, \xfc <\"\\?\xe9\"@d\xe4>, \U0010ff3f <\U0010ff22@f>")
	f.Fuzz(func(t *testing.T, value string) {
		got, err := relay.Mailboxes(value)
		for _, address := range got {
			if domain := address[strings.LastIndexByte(address, '@')+1:]; domain == "" || !strings.Contains(value, domain) {
				t.Errorf("%q: got %q", value, address)
			}
		}
		list, mailErr := mail.ParseAddressList(value)
		if mailErr != nil {
			return
		}
		var want []string
		for _, a := range list {
			want = append(want, a.Address)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %q, %v, net/mail %q", value, got, err, want)
		}
	})
}
