package configs_test

import (
	"fmt"
	"strings"
	"testing"

	"postrider/configs"
	"postrider/outbound"
)

// ways shows the routes that a configuration makes, and which of them share the mail.
func ways(c *configs.Config) string {
	var all []string
	for _, r := range c.Outbound.Routes {
		who := ""
		if r.Auth != nil {
			who = " " + r.Auth.User
		}
		all = append(all, fmt.Sprintf("%s %s%s >%v", r.Name, r.Hosts[0], who, r.Fallback))
	}
	for _, r := range c.Policy.Routes {
		for _, w := range r.Ways {
			all = append(all, fmt.Sprintf("%s:%d", w.Name, w.Weight))
		}
	}
	return strings.Join(all, "; ")
}

// Providers become routes that fall back to each other: in order, or by weight.
func TestProviders(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ routes, want string }{
		{`{name: a, providers: [{hosts: [x]}, {hosts: [y]}, {name: last, hosts: [z]}]}`,
			"a x >[a@2 a@last]; a@2 y >[]; a@last z >[]"},
		{`{name: a, providers: [{preset: sendgrid, auth: {password: s}}, {preset: mailgun, auth: {user: m, password: p}}]}`,
			"a smtp.sendgrid.net:587 apikey >[a@mailgun]; a@mailgun smtp.mailgun.org:587 m >[]"},
		{`{name: a, providers: [{hosts: [x], weight: 3}, {hosts: [y]}]}`,
			"a@1 x >[a@2]; a@2 y >[a@1]; a@1:3; a@2:0"},
		{`{name: a, auth: {user: u, password: p}, providers: [{hosts: [x]}, {hosts: [y], auth: {user: v, password: p}}]}`,
			"a x u >[a@2]; a@2 y v >[]"},
		{`{name: a, fallback: [b], hosts: [x]}, {name: b, when: "false", hosts: [y]}`, "a x >[b]; b y >[]"},
		{`{name: a, fallback: [b], providers: [{hosts: [x]}, {hosts: [w]}]}, {name: b, when: "false", hosts: [y]}`,
			"a x >[a@2 b]; a@2 w >[]; b y >[]"},
		{`{name: a, fallback: [b], hosts: [x], source: [{address: 192.0.2.1}, {address: 192.0.2.2}]}, {name: b, when: "false", hosts: [y]}`,
			"a@192.0.2.1 x >[b]; a@192.0.2.2 x >[b]; b y >[]; a@192.0.2.1:0; a@192.0.2.2:0"},
	} {
		c, err := load(t, "hostname: relay.example.com\nroutes: ["+tt.routes+"]\n", configs.Overrides{})
		if err != nil {
			t.Errorf("%s: %v", tt.routes, err)
			continue
		}
		if got := ways(c); got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.routes, got, tt.want)
		}
		if _, err := outbound.New(c.Outbound); err != nil {
			t.Errorf("%s: %v", tt.routes, err)
		}
	}
}

// What a provider does not say itself its route says, and then its preset.
func TestProviderInherits(t *testing.T) {
	t.Parallel()
	const text = `hostname: relay.example.com
routes:
  - name: a
    tls: encrypt
    connections: 7
    rates: [5/1s]
    source: [{address: 192.0.2.1, hostname: out.example.com}]
    header: {add: ["X-A: route"], remove: [X-R]}
    providers:
      - {preset: gmail-relay, header: {add: ["X-A: own"]}}
      - {hosts: [y], tls: none, connections: 3, rates: []}
`
	c, err := load(t, text, configs.Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range c.Outbound.Routes {
		got = append(got, fmt.Sprint(r.TLS, r.Connections, r.MessagesPerConnection, r.Rates, r.Source, " ", r.Hostname, " ", r.Header))
	}
	want := []string{
		"encrypt 7 100 [5 messages/1s] 192.0.2.1 out.example.com {[X-A: own] [X-R Return-Path]}",
		"none 3 0 [] 192.0.2.1 out.example.com {[X-A: route] [X-R]}",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestProviderFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ routes, want string }{
		{`{name: a, providers: [{hosts: [x]}, {auth: {user: u, password: p}}]}`, "1: routes[0].providers[1]: needs hosts, or a preset"},
		{`{name: a, providers: [{preset: ses, hosts: [x]}, {preset: sendgrid}, {preset: sendgrid}]}`, `is called "a@sendgrid", as providers[1] is: give it a name`},
		{`{name: a, hosts: [w], providers: [{hosts: [x]}]}`, "stand in place of mx, hosts and preset"},
		{`{name: a, mx: true, providers: [{hosts: [x]}]}`, "stand in place of mx, hosts and preset"},
		{`{name: a, providers: [{hosts: [x], weight: -1}]}`, "weight: -1 is less than 1"},
		{`{name: a, providers: [{hosts: [":0"]}]}`, "providers[0].hosts[0]"},
		{`{name: a, providers: [{preset: sess}]}`, `providers[0].preset: "sess" is not`},
		{`{name: a, providers: [{hosts: [x], tls: none, auth: {user: u, password: p}}]}`, "providers[0].tls: credentials are sent over verified TLS only"},
		{`{name: a, hosts: [x], source: [{address: 192.0.2.1}, {address: 192.0.2.2}], providers: [{hosts: [x]}]}`, "stand in place of"},
		{`{name: a, source: [{address: 192.0.2.1}, {address: 192.0.2.2}], providers: [{hosts: [x]}]}`, "several source addresses"},
		{`{name: a, hosts: [x], fallback: [b]}`, `fallback[0]: there is no route "b"`},
		{`{name: a, hosts: [x], fallback: [a]}`, "the route itself"},
		{`{name: a, hosts: [x], fallback: [b]}, {name: b, mx: true}`, "a fallback has hosts"},
		{`{name: a, hosts: [x], fallback: [b]}, {name: b, providers: [{hosts: [y], weight: 1}]}`, "a fallback is one way"},
		{`{name: a, hosts: [x], header: {add: ["Subject: x"]}}`, "header: Subject cannot be added"},
		{`{name: a, hosts: [x], header: {remove: [Received]}}`, "header: Received cannot be removed"},
		{`{name: a, hosts: [x], rates: [many]}`, "rates[0]: \"many\" is not a rate"},
	} {
		_, err := load(t, "hostname: relay.example.com\nroutes: ["+tt.routes+"]\n", configs.Overrides{})
		if err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(tt.want, "1: ")) {
			t.Errorf("%s:\ngot  %v\nwant %s", tt.routes, err, tt.want)
		}
	}
}
