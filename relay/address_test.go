package relay_test

import (
	"errors"
	"strings"
	"testing"

	"postrider/relay"
)

func TestParseAddress(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, local, domain, out string }{
		{"", "", "", ""},
		{"a@example.com", "a", "example.com", "a@example.com"},
		{"A.B+c@EXAMPLE.Com", "A.B+c", "example.com", "A.B+c@example.com"},
		{"postmaster", "postmaster", "", "postmaster"},
		{"Postmaster", "Postmaster", "", "Postmaster"},
		{`"a b"@example.com`, "a b", "example.com", `"a b"@example.com`},
		{`"a\"b\\"@example.com`, `a"b\`, "example.com", `"a\"b\\"@example.com`},
		{`"plain"@example.com`, "plain", "example.com", "plain@example.com"},
		{`"a@b"@example.com`, "a@b", "example.com", `"a@b"@example.com`},
		{"a@[192.0.2.1]", "a", "[192.0.2.1]", "a@[192.0.2.1]"},
		{"a@[IPv6:2001:DB8::1]", "a", "[ipv6:2001:db8::1]", "a@[ipv6:2001:db8::1]"},
		{"ä@exämple.de", "ä", "exämple.de", "ä@exämple.de"},
		{"a@नाम\u200dx.example", "a", "नाम\u200dx.example", "a@नाम\u200dx.example"},
		{"a@i❤.example", "a", "i❤.example", "a@i❤.example"},
		{"a..b.@example.com", "a..b.", "example.com", "a..b.@example.com"},
		{"a@under_score.example", "a", "under_score.example", "a@under_score.example"},
	} {
		got, err := relay.ParseAddress(tt.in)
		if err != nil || got.Local != tt.local || got.Domain != tt.domain || got.String() != tt.out {
			t.Errorf("ParseAddress(%q) = %+v (%s), %v", tt.in, got, got, err)
		}
	}
}

func TestParseAddressRefuses(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"root", "a@", "@example.com", "a@b@c.example", "a b@example.com", "a@exa mple.com", "a@-x.example", "a@x-.example",
		"a@.example", "a@example.", "a@example..com", `"a@example.com`, `"a"b@example.com`, `"a\`, "a@[192.0.2.1", "a@[300.1.1.1]",
		"a@[::1]", "a@[IPv6:fe80::1%eth0]", "a\r\n@example.com", "a@example.com\r\nRCPT", "a@exam\x00ple.com", "<a@example.com>",
		"a@" + strings.Repeat("x", 64) + ".example", strings.Repeat("x", 250) + "@example.com", "a@exam\u3002ple", "a@ex\u00adample.com", "a@\u202eexample.com", "a@exam\ufe0fple.com", "a@exam\u0085ple.com", "\xff@example.com", `"a` + "\x01" + `"@example.com`,
	} {
		if got, err := relay.ParseAddress(in); !errors.Is(err, relay.ErrAddress) {
			t.Errorf("ParseAddress(%q) = %v, %v; want ErrAddress", in, got, err)
		}
	}
}

// What is accepted can be written and read back to the same, and holds no line end.
func FuzzParseAddress(f *testing.F) {
	f.Add("a@example.com")
	f.Add(`"a \" b"@[IPv6:::1]`)
	f.Fuzz(func(t *testing.T, in string) {
		a, err := relay.ParseAddress(in)
		if err != nil {
			return
		}
		if strings.ContainsAny(a.String(), "\r\n\x00") {
			t.Errorf("%q: a line end in %q", in, a)
		}
		again, err := relay.ParseAddress(a.String())
		if err != nil || again != a {
			t.Errorf("%q: read back %+v as %+v, %v", in, a, again, err)
		}
	})
}
