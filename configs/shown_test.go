package configs

import (
	"os"
	"strings"
	"testing"
)

func TestShown(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, want string }{
		{"a password", "auth: {user: a, password: s3cret}", "auth: {user: a, password: (hidden)}\n"},
		{"one that is a number", "password: 12345", "password: (hidden)\n"},
		{"of several lines", "token: |\n  s3cret\n  s3cret", "token: (hidden)\n"},
		{"in a list", "tokens:\n  - name: a\n    token: s3cret", "tokens:\n  - name: a\n    token: (hidden)\n"},
		{"a reference stays", "bind_password: ${file:secrets/x}", "bind_password: ${file:secrets/x}\n"},
		{"a reference among letters does not", "password: s3${env:X}", "password: (hidden)\n"},
		{"in an address", "socks5: me:s3cret@proxy.test:1080", "socks5: (hidden)@proxy.test:1080\n"},
		{"in a list of addresses", "url: https://me:s3cret@x.test/", "url: https://(hidden)@x.test/\n"},
		{"comments go", "hostname: x # s3cret", "hostname: x\n"},
		{"what is no secret stays", "token_file: tokens/x", "token_file: tokens/x\n"},
		{"nothing", "", "# No configuration file: the defaults, and what flags say.\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := shown([]byte(tt.text)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// What is shown of the reference example means the same, but for its secrets.
func TestShownReference(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("examples/reference.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got := shown(text)
	for _, want := range []string{"hostname:", "token: ${env:ADMIN_TOKEN}", "rules:"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	d := decoder{report: newReport("", got), secrets: secrets{lookupEnv: func(string) (string, bool) { return "x", true }}}
	d.decode([]byte(got), new(file))
	if err := d.err(); err != nil {
		t.Error(err)
	}
}
