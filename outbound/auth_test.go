package outbound_test

import (
	"strings"
	"testing"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
	"postrider/relay"
)

// The strongest mechanism that both sides know is used, and no other one after it.
func TestMechanisms(t *testing.T) {
	t.Parallel()
	users := map[string]string{"u=,": "p"}
	for _, tt := range []struct {
		name     string
		offered  string
		pinned   string
		password string
		used     string
		ok       bool
	}{
		{"strongest", "LOGIN PLAIN SCRAM-SHA-256", "", "p", "SCRAM-SHA-256", true},
		{"no fall-back", "LOGIN PLAIN SCRAM-SHA-256", "", "wrong", "SCRAM-SHA-256", false},
		{"PLAIN", "LOGIN PLAIN CRAM-MD5", "", "p", "PLAIN", true},
		{"LOGIN", "LOGIN", "", "p", "LOGIN", true},
		{"pinned", "LOGIN PLAIN SCRAM-SHA-256", "plain", "p", "PLAIN", true},
		{"pinned and not offered", "LOGIN PLAIN", "scram-sha-256", "p", "", false},
		{"a password is no token", "XOAUTH2", "", "p", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := outboundtest.NewPeer(t, outboundtest.Script{Users: users, Mechanisms: strings.Fields(tt.offered)})
			tr := smart(t, func(o *outbound.Options) {
				o.Routes[0].Auth = &outbound.Credentials{User: "u=,", Password: tt.password, Mechanism: tt.pinned}
			}, p)
			if tt.ok {
				dial(t, tr)
			} else if r := dialFault(t, tr); !r.Temporary() || r.Class != relay.ClassAuth {
				t.Errorf("reply = %s of class %q, want a temporary one about credentials", r, r.Class)
			}
			if got := mechanismsUsed(p.Sessions()[0]); got != tt.used {
				t.Errorf("mechanisms used: %q, want %q", got, tt.used)
			}
		})
	}
}

func mechanismsUsed(s outboundtest.Session) string {
	var used []string
	for _, line := range s.Commands {
		if rest, ok := strings.CutPrefix(line, "AUTH "); ok {
			name, _, _ := strings.Cut(rest, " ")
			used = append(used, name)
		}
	}
	return strings.Join(used, " ")
}

// A server that accepts a password without knowing it is not the one that we know.
func TestSCRAMImpostor(t *testing.T) {
	t.Parallel()
	p := outboundtest.NewPeer(t, outboundtest.Script{
		Users: map[string]string{"u": "p"}, Mechanisms: []string{"SCRAM-SHA-256"}, Impostor: true,
	})
	r := dialFault(t, smart(t, func(o *outbound.Options) {
		o.Routes[0].Auth = &outbound.Credentials{User: "u", Password: "p"}
	}, p))
	if r.Class != relay.ClassAuth {
		t.Errorf("reply = %s of class %q", r, r.Class)
	}
}

// T18: refused credentials hold the route, a 454 defers, and neither bounces.
func TestRefusedCredentials(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]relay.Class{
		"535 5.7.3 Authentication unsuccessful [AM0PR01CA0001.eurprd01.prod.exchangelabs.com]":                        relay.ClassAuth,
		"535-5.7.8 Username and Password not accepted. For more information, go to\r\n535 5.7.8 https://example.test": relay.ClassAuth,
		"534 5.7.9 Application-specific password required":                                                            relay.ClassAuth,
		"454 4.7.0 Temporary authentication failure":                                                                  relay.ClassNone,
	} {
		p := outboundtest.NewPeer(t, outboundtest.Script{Users: map[string]string{"u": "p"}, On: outboundtest.Answer(map[string]string{"AUTH": answer})})
		r := dialFault(t, smart(t, func(o *outbound.Options) {
			o.Routes[0].Auth = &outbound.Credentials{User: "u", Password: "p"}
		}, p))
		if !r.Temporary() || (r.Class == relay.ClassAuth) != (want == relay.ClassAuth) {
			t.Errorf("%s: reply = %s of class %q", answer, r, r.Class)
		}
		if !strings.Contains(r.Text, "AUTH PLAIN of user u") || !strings.Contains(r.Text, answer[4:7]) {
			t.Errorf("%s: the reason is not shown: %s", answer, r)
		}
	}
}

func TestCredentialsValidate(t *testing.T) {
	t.Parallel()
	microsoft := &outbound.OAuth{Provider: "microsoft", Tenant: "t", ClientID: "c", ClientSecret: "s"}
	for name, tt := range map[string]struct {
		cred outbound.Credentials
		want string
	}{
		"password":                {outbound.Credentials{User: "u", Password: "p"}, ""},
		"oauth":                   {outbound.Credentials{User: "u", OAuth: microsoft}, ""},
		"no user":                 {outbound.Credentials{Password: "p"}, "without a user"},
		"both":                    {outbound.Credentials{User: "u", Password: "p", OAuth: microsoft}, "both a password"},
		"unknown mechanism":       {outbound.Credentials{User: "u", Password: "p", Mechanism: "cram-md5"}, "not a mechanism"},
		"token as a password":     {outbound.Credentials{User: "u", OAuth: microsoft, Mechanism: "plain"}, "not for these credentials"},
		"no tenant":               {outbound.Credentials{User: "u", OAuth: &outbound.OAuth{Provider: "microsoft", ClientID: "c", ClientSecret: "s"}}, "tenant"},
		"no secret":               {outbound.Credentials{User: "u", OAuth: &outbound.OAuth{Provider: "microsoft", Tenant: "t", ClientID: "c"}}, "client_secret"},
		"google without a person": {outbound.Credentials{User: "u", OAuth: &outbound.OAuth{Provider: "google", ClientID: "c", ClientSecret: "s"}}, "service account"},
		"service account":         {outbound.Credentials{User: "u", OAuth: &outbound.OAuth{Provider: "google", KeyFile: "key.json"}}, ""},
		"unknown provider":        {outbound.Credentials{User: "u", OAuth: &outbound.OAuth{Provider: "yahoo", ClientID: "c", ClientSecret: "s"}}, "not a provider"},
		"custom without URL":      {outbound.Credentials{User: "u", OAuth: &outbound.OAuth{Provider: "custom", ClientID: "c", ClientSecret: "s"}}, "token_url"},
		"in clear":                {outbound.Credentials{User: "u", OAuth: &outbound.OAuth{Provider: "custom", ClientID: "c", ClientSecret: "s", TokenURL: "http://id.example/token"}}, "https"},
	} {
		err := tt.cred.Validate()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
}
