package outbound_test

import (
	"os"
	"testing"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
	"postrider/relay"
)

var _ relay.Retrier = (*outbound.Transport)(nil)

// A way that was left for a refused login is tried again at once when an operator asks for it, or
// has changed what it logs in with; not when anything else has changed.
func TestForgivenLogin(t *testing.T) {
	t.Parallel()
	options := func(c *clock, first, second *outboundtest.Peer, password string) outbound.Options {
		return outbound.Options{Hostname: "relay.test", Now: c.time, Routes: []outbound.Route{
			{Name: routeSmart, Hosts: []string{first.Addr()}, TLS: outbound.TLSNone, Fallback: []string{"spare"},
				Auth: &outbound.Credentials{User: "u", Password: password}, PlainAuth: true},
			{Name: "spare", Hosts: []string{second.Addr()}, TLS: outbound.TLSNone},
		}}
	}
	for _, tt := range []struct {
		name, refusal, password string
		retry                   string
		want                    string
	}{
		{"retry", "535 5.7.8 no", "", routeSmart, "first"},
		{"retry of another", "535 5.7.8 no", "", "spare", "second"},
		{"retry of none", "535 5.7.8 no", "", "gone", "second"},
		{"retry, left for the host", "421 4.3.2 busy", "", routeSmart, "second"},
		{"another password", "535 5.7.8 no", "p", "", "first"},
		{"the same password", "535 5.7.8 no", "old", "", "second"},
		{"another password, left for the host", "421 4.3.2 busy", "p", "", "second"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			first, second := outboundtest.NewPeer(t, users(answers("AUTH", tt.refusal))), outboundtest.NewPeer(t, outboundtest.Script{})
			tr := newTransport(t, options(c, first, second, "old"), nil)
			dialFault(t, tr)
			site := resolve(t, tr, relay.Destination{Route: routeSmart})
			if got := siteNow(t, tr, first); got != "second" {
				t.Fatalf("after the refusal mail goes to the %s", got)
			}
			if tt.retry != "" {
				tr.Retry(relay.Destination{Route: tt.retry})
			}
			if tt.password != "" {
				next, err := tr.Next(options(c, first, second, tt.password))
				if err != nil {
					t.Fatal(err)
				}
				tr.Yield(next)
				tr = next
			}
			if got := siteNow(t, tr, first); got != tt.want {
				t.Errorf("mail goes to the %s, want the %s", got, tt.want)
			}
			if site.Moved() != (tt.want == "first") {
				t.Errorf("moved = %v", site.Moved())
			}
		})
	}
}

// A sign-in that replaced the token file counts from the next reload on; a reload without one changes
// nothing.
func TestForgivenSignIn(t *testing.T) {
	t.Parallel()
	c := newClock()
	a := newAuthorizer(t, c)
	cred := a.account(t)
	first, second := outboundtest.NewPeer(t, a.script()), outboundtest.NewPeer(t, outboundtest.Script{})
	tr := newTransport(t, outbound.Options{Hostname: "relay.test", Now: c.time, Routes: []outbound.Route{
		{Name: routeSmart, Hosts: []string{first.Addr()}, TLS: outbound.TLSNone, Fallback: []string{"spare"}, Auth: cred, PlainAuth: true},
		{Name: "spare", Hosts: []string{second.Addr()}, TLS: outbound.TLSNone},
	}}, nil)
	reload := func() {
		next, err := tr.Next(outbound.Options{Hostname: "relay.test", Now: c.time, Routes: []outbound.Route{
			{Name: routeSmart, Hosts: []string{first.Addr()}, TLS: outbound.TLSNone, Fallback: []string{"spare"}, Auth: cred, PlainAuth: true},
			{Name: "spare", Hosts: []string{second.Addr()}, TLS: outbound.TLSNone},
		}})
		if err != nil {
			t.Fatal(err)
		}
		tr.Yield(next)
		tr = next
	}
	a.set(func() { a.refresh = "refresh-new" })
	dialFault(t, tr)
	reload()
	if got := siteNow(t, tr, first); got != "second" {
		t.Errorf("after a reload without a sign-in mail goes to the %s, want the second", got)
	}
	text := `{"version":1,"user":"relay@example.test","refresh_token":"refresh-new","granted":"2026-01-02T03:04:05Z"}`
	if err := os.WriteFile(cred.OAuth.TokenFile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	reload()
	wantCodes(t, deliver(t, dial(t, tr), transfer("x\r\n", "a@to.test")), "250")
	if got := recipients(first); got != "a@to.test" {
		t.Errorf("the first took mail for %q", got)
	}
}
