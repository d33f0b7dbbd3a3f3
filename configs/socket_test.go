package configs_test

import (
	"strings"
	"testing"

	"postrider/configs"
)

// A host may be a Unix socket, with nothing beside it that is about the network.
func TestSockets(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ route, want string }{
		{`{name: a, hosts: ["unix:/run/dovecot/lmtp"], lmtp: true}`, ""},
		{`{name: a, hosts: ["unix:/run/filter", "127.0.0.1:25"], tls: none, auth: {user: u, password: p}}`, ""},
		{`{name: a, hosts: ["unix:lmtp"], lmtp: true}`, `:2:23: routes[0].hosts[0]: "unix:lmtp": a Unix socket is an absolute path`},
		{`{name: a, hosts: ["unix:/run/lmtp"], tls: verify}`, `:2:47: routes[0].tls: there is no TLS to a Unix socket`},
		{`{name: a, hosts: ["unix:/run/lmtp"], socks5: "127.0.0.1:1080"}`, `:2:50: routes[0].socks5: a proxy does not lead`},
		{`{name: a, hosts: ["unix:/run/lmtp"], source: [{address: 127.0.0.1}]}`, `:2:50: routes[0].source: connections to a Unix socket`},
		{`{name: a, providers: [{name: b, hosts: ["unix:/run/lmtp"], tls: encrypt}, {name: c, hosts: [localhost]}]}`, `:2:69: routes[0].providers[0].tls: there is no TLS`},
		{`{name: a, mx: true, hosts: ["unix:/run/lmtp"]}`, `:2:5: routes[0]: has both mx and hosts`},
	} {
		_, err := load(t, "routes:\n  - "+test.route+"\n", configs.Overrides{})
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %s", test.route, err, test.want)
		}
	}
}
