package outbound_test

import (
	"testing"

	"postrider/outbound"
)

// Every preset makes a route that works with the kind of credentials that it is for.
func TestPresets(t *testing.T) {
	t.Parallel()
	names := []string{"m365", "gmail", "gmail-relay", "ses", "sendgrid", "mailgun", "postmark"}
	if len(outbound.Presets()) != len(names) {
		t.Errorf("%d presets, want %d", len(outbound.Presets()), len(names))
	}
	for _, name := range names {
		p, ok := outbound.PresetOf(name)
		if !ok || p.Name != name || p.Note == "" {
			t.Errorf("%s: no preset, or one without a note", name)
			continue
		}
		if p.TLS != outbound.TLSVerify {
			t.Errorf("%s: TLS is %s: credentials go there", name, p.TLS)
		}
		hosts := p.Hosts
		if (len(hosts) == 0) == (p.Region == "") {
			t.Errorf("%s: hosts %v and region %q", name, hosts, p.Region)
		}
		if len(hosts) == 0 {
			hosts = []string{p.Region}
		}
		for _, text := range hosts {
			if h, err := outbound.ParseHost(text); err != nil || h.Port != 587 {
				t.Errorf("%s: host %s: %v", name, text, err)
			}
		}
		cred := &outbound.Credentials{User: "u", Password: "p", Mechanism: p.Mechanism}
		if p.Mechanism == "xoauth2" {
			cred.Password, cred.OAuth = "", &outbound.OAuth{Provider: "microsoft", Tenant: "t", ClientID: "c", ClientSecret: "s"}
		}
		r := outbound.Route{Name: name, Hosts: hosts, TLS: p.TLS, Auth: cred, Connections: p.Connections, MessagesPerConnection: p.MessagesPerConnection, Rates: p.Rates, Header: p.Header}
		if err := r.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, ok := outbound.PresetOf("hotmail"); ok {
		t.Error("found a preset that there is not")
	}
}
