package configs_test

import (
	"fmt"
	"slices"
	"testing"

	"postrider/configs"
	"postrider/outbound"
	"postrider/relay"
)

// What a preset knows is filled in, and what the route says stays.
func TestPresets(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ route, want string }{
		{`preset: m365, auth: {user: u, oauth2: {provider: microsoft, tenant: t, client_id: c, client_secret: s}}`, "[smtp.office365.com:587] verify u xoauth2 3 0 [30 messages/1m0s 10000 recipients/24h0m0s]"},
		{`preset: m365, connections: 2, auth: {user: u, password: p, mechanism: login}`, "[smtp.office365.com:587] verify u login 2 0 [30 messages/1m0s 10000 recipients/24h0m0s]"},
		{`preset: gmail, auth: {user: u, password: p}`, "[smtp.gmail.com:587] verify u  10 100 [2000 messages/24h0m0s 10000 recipients/24h0m0s]"},
		{`preset: gmail, rates: [], auth: {user: u, password: p}`, "[smtp.gmail.com:587] verify u  10 100 []"},
		{`preset: gmail, rates: [500/1d], auth: {user: u, password: p}`, "[smtp.gmail.com:587] verify u  10 100 [500 messages/24h0m0s]"},
		{`preset: gmail-relay`, "[smtp-relay.gmail.com:587] verify - 10 100 []"},
		{`preset: ses, hosts: ["email-smtp.eu-west-1.amazonaws.com:587"], auth: {user: u, password: p}`, "[email-smtp.eu-west-1.amazonaws.com:587] verify u plain 20 0 []"},
		{`preset: sendgrid, auth: {password: p}`, "[smtp.sendgrid.net:587] verify apikey plain 0 5000 []"},
		{`preset: mailgun, hosts: ["smtp.eu.mailgun.org:465"], messages_per_connection: 7, auth: {user: u, password: p}`, "[smtp.eu.mailgun.org:465] verify u plain 20 7 []"},
		{`preset: postmark, tls: encrypt, auth: {user: u, password: p, plain: true}`, "[smtp.postmarkapp.com:587] encrypt u plain 20 0 []"},
	} {
		c, err := load(t, "hostname: relay.example.com\nroutes:\n  - {name: a, "+tt.route+"}\n", configs.Overrides{})
		if err != nil {
			t.Errorf("%s: %v", tt.route, err)
			continue
		}
		r := c.Outbound.Routes[0]
		who := "-"
		if r.Auth != nil {
			who = r.Auth.User + " " + r.Auth.Mechanism
		}
		if got := fmt.Sprint(r.Hosts, r.TLS, " ", who, " ", r.Connections, r.MessagesPerConnection, r.Rates); got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.route, got, tt.want)
		}
		if got := r.Header.Remove; !slices.Equal(got, []string{"Return-Path"}) {
			t.Errorf("%s: removes %q", tt.route, got)
		}
		if _, err := outbound.New(c.Outbound); err != nil {
			t.Errorf("%s: %v", tt.route, err)
		}
	}
}

// A schedule in the file replaces that of its class and no other.
func TestClasses(t *testing.T) {
	t.Parallel()
	c, err := load(t, "hostname: relay.example.com\nretry: {classes: [{class: rate, first: 1h, factor: 1, max: 1h}]}\n", configs.Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	want := relay.DefaultClassBackoffs()
	want[relay.ClassRate] = relay.Backoff{First: 3600e9, Factor: 1, Max: 3600e9}
	if got := c.Scheduler.Retry.Classes; !slices.Equal(got[:], want[:]) {
		t.Errorf("got %v, want %v", got, want)
	}
}
