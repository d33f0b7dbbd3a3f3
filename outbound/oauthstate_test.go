package outbound_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
	"postrider/relay"
)

// figures shows what a Transport measures of tokens and routes, without help texts.
func figures(tr *outbound.Transport) string {
	var all []string
	for _, f := range tr.Figures() {
		if strings.HasPrefix(f.Name, "dns_") || strings.HasPrefix(f.Name, "outbound_tls_") {
			continue
		}
		all = append(all, fmt.Sprintf("%s%v=%g", f.Name, f.Labels, f.Value))
	}
	return strings.Join(all, " ")
}

// What operators see of an account before, with and after a token.
func TestTokens(t *testing.T) {
	t.Parallel()
	c := newClock()
	a := newAuthorizer(t, c)
	p := outboundtest.NewPeer(t, a.script())
	cred := a.account(t)
	tr := smart(t, func(o *outbound.Options) {
		o.Now = c.time
		o.Routes[0].Auth = cred
		o.Routes = append(o.Routes, outbound.Route{Name: "other", Hosts: []string{"192.0.2.1"}, TLS: outbound.TLSVerify, Auth: cred})
	}, p)
	const labels = "[user relay@example.test provider custom]"
	if got, want := figures(tr), "oauth_token_fault"+labels+"=0"; got != want {
		t.Errorf("before: %s, want %s", got, want)
	}
	dial(t, tr)
	c.pass(10 * time.Minute)
	for _, want := range []string{"token_fault" + labels + "=0", "token_age_seconds" + labels + "=600", "token_left_seconds" + labels + "=3000", "refresh_token_age_seconds" + labels + "=600"} {
		if got := figures(tr); !strings.Contains(got, "oauth_"+want) {
			t.Errorf("with a token: %s, want %s", got, want)
		}
	}
	s := tr.Tokens()
	if len(s) != 1 || s[0].User != "relay@example.test" || strings.Join(s[0].Routes, " ") != "smart other" || s[0].TokenFile != cred.OAuth.TokenFile || s[0].Grant != "person" {
		t.Errorf("tokens %+v", s)
	}
	a.set(func() { a.status, a.fault = http.StatusServiceUnavailable, "down" })
	c.pass(time.Hour)
	dialFault(t, tr)
	if got := figures(tr); !strings.Contains(got, "fault"+labels+"=1") || !strings.Contains(got, "left_seconds"+labels+"=-600") {
		t.Errorf("without one: %s", got)
	}
	if s := tr.Tokens()[0]; !strings.Contains(s.Fault, "503") || !s.Failed.Equal(c.time()) {
		t.Errorf("fault %q at %s", s.Fault, s.Failed)
	}
	a.set(func() { a.fault = "" })
	c.pass(time.Minute)
	dial(t, tr)
	if s := tr.Tokens()[0]; s.Fault != "" || !s.Failed.IsZero() {
		t.Errorf("fault %q at %s after it was mended", s.Fault, s.Failed)
	}
}

// Before the first use of an account its file tells of it, and a file that is missing is a fault.
func TestTokensBefore(t *testing.T) {
	t.Parallel()
	a := newAuthorizer(t, newClock())
	cred := a.account(t)
	tr := a.transport(t, cred, outboundtest.NewPeer(t, a.script()))
	text := `{"version":1,"user":"relay@example.test","refresh_token":"refresh-0","granted":"2026-11-01T00:00:00Z"}`
	if err := os.WriteFile(cred.OAuth.TokenFile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if s := tr.Tokens()[0]; s.Fault != "" || !s.Granted.Equal(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)) || !s.Refreshed.IsZero() {
		t.Errorf("after a sign-in: %+v", s)
	}
	if err := os.Remove(cred.OAuth.TokenFile); err != nil {
		t.Fatal(err)
	}
	if s := tr.Tokens()[0]; !strings.Contains(s.Fault, "oauth login") || !strings.Contains(figures(tr), "oauth_token_fault[user relay@example.test provider custom]=1") {
		t.Errorf("without a file: %+v", s)
	}
}

// A route that is led around is seen in the figures.
func TestDivertedFigure(t *testing.T) {
	t.Parallel()
	first, second := outboundtest.NewPeer(t, answers("greeting", "421 busy")), outboundtest.NewPeer(t, outboundtest.Script{})
	tr, _ := twoWays(t, newClock(), first, second)
	if got := figures(tr); got != "route_diverted[route smart]=0" {
		t.Errorf("before: %s", got)
	}
	dialFault(t, tr)
	if got := figures(tr); got != "route_diverted[route smart]=1" {
		t.Errorf("after: %s", got)
	}
}

// replaced puts a token of a new sign-in into the file.
func replaced(t *testing.T, cred *outbound.Credentials, refresh string) {
	t.Helper()
	text := fmt.Sprintf(`{"version":1,"user":"relay@example.test","refresh_token":%q}`, refresh)
	if err := os.WriteFile(cred.OAuth.TokenFile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A sign-in that comes while a token cannot be stored is newer than that one, and stays.
func TestOAuthSignInWhileUnsaved(t *testing.T) {
	t.Parallel()
	c := newClock()
	a := newAuthorizer(t, c)
	cred := a.account(t)
	p := outboundtest.NewPeer(t, a.script())
	tr := a.transport(t, cred, p)
	// A directory in the place of the file cannot be replaced.
	name := cred.OAuth.TokenFile
	a.set(func() {
		a.answered = func() {
			os.Remove(name)
			os.MkdirAll(name+"/x", 0o700)
		}
	})
	if r := dialFault(t, tr); !strings.Contains(r.Text, "Cannot store") || r.Class == relay.ClassAuth {
		t.Fatalf("reply = %s of class %q", r, r.Class)
	}
	if err := os.RemoveAll(name); err != nil {
		t.Fatal(err)
	}
	a.set(func() { a.answered, a.refresh = nil, "signed-in-anew" })
	replaced(t, cred, "signed-in-anew")
	c.pass(time.Minute)
	if r := dialFault(t, tr); !strings.Contains(r.Text, "just been replaced") {
		t.Errorf("reply = %s", r)
	}
	c.pass(time.Minute)
	dial(t, tr)
	saved, err := outbound.ReadToken(name)
	if err != nil || saved.Refresh != a.refresh {
		t.Errorf("on disk %q, want %q, %v", saved.Refresh, a.refresh, err)
	}
}

// Two processes of one account do not spend its refresh token twice.
func TestOAuthTwoProcesses(t *testing.T) {
	t.Parallel()
	c := newClock()
	a := newAuthorizer(t, c)
	cred := a.account(t)
	p := outboundtest.NewPeer(t, a.script())
	done := make(chan error, 4)
	for range cap(done) {
		tr := a.transport(t, cred, p)
		go func() {
			site, err := tr.Resolve(t.Context(), relay.Destination{Route: routeSmart})
			if err == nil {
				var conn relay.Conn
				if conn, err = tr.Dial(t.Context(), site); err == nil {
					conn.Close()
				}
			}
			done <- err
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if a.requests != 1 {
		t.Errorf("%d requests, want 1 for all", a.requests)
	}
}
