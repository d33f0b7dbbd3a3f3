package integration_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"postrider/integration"
	"postrider/outbound/outboundtest"
)

// introspect answers a mail server that asks whether a token is good, and whose it is.
func (a *authority) introspect(w http.ResponseWriter, r *http.Request) {
	active := a.takes("relay@example.com", r.FormValue("token"))
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"active":"%t","username":"relay@example.com"}`, active)
}

// Each mechanism proves us to a Postfix whose users are those of a Dovecot, which has seen no line of ours:
// passwords by PLAIN, LOGIN and SCRAM, and access tokens by XOAUTH2 and OAUTHBEARER. What is not good
// there holds its route and no other.
func TestMechanismsOfDovecot(t *testing.T) {
	t.Parallel()
	needs(t, "postfix", "dovecot")
	ctx := within(t, 2*time.Minute)
	dir := folder(t)
	port, err := integration.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	a := newAuthority(t)
	mechanisms := []string{"PLAIN", "LOGIN", "SCRAM-SHA-256", "XOAUTH2", "OAUTHBEARER"}
	s := secured(t, dir, strings.Join(mechanisms, " "), fmt.Sprintf("127.0.0.1:%d", port))
	s.Socket = dir + "/auth"
	dovecot, err := integration.StartDovecotAuth(ctx, dir, s, a.url+"/introspect?token=")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		dovecot.Stop()
		if t.Failed() {
			t.Logf("Dovecot said:\n%s", strings.Join(dovecot.Lines(), "\n"))
		}
	})
	last := outboundtest.NewPeer(t, outboundtest.Script{})
	postfix, err := integration.NewSecuredPostfix(ctx, dir, last.Addr(), s)
	if errors.Is(err, integration.ErrNotRoot) {
		missing(t, err.Error())
	}
	if err == nil {
		err = postfix.Start(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		postfix.Stop()
		if t.Failed() {
			t.Logf("Postfix's log:\n%s", postfix.Log())
		}
	})

	var config strings.Builder
	config.WriteString("routes:\n")
	route := func(name, auth string) {
		fmt.Fprintf(&config, "  - {name: %s, when: 'recipient.local == %q', hosts: [%q], tls: verify, auth: {mechanism: %s}}\n", name, name, postfix.Addr(), auth)
	}
	for _, mechanism := range mechanisms {
		name := strings.ToLower(mechanism)
		if strings.HasSuffix(name, "2") || strings.HasSuffix(name, "bearer") {
			route(name, fmt.Sprintf("%s, user: relay@example.com, oauth2: {provider: custom, client_id: c, client_secret: s, token_url: %q}", name, a.url))
			continue
		}
		route(name, fmt.Sprintf("%s, user: %q, password: %q", name, s.User, s.Password))
	}
	route("wrong", fmt.Sprintf("scram-sha-256, user: %q, password: not the one", s.User))
	config.WriteString("  - {name: last, hosts: [\"127.0.0.1:9\"]}\n")
	relay := newRelay(t, config.String())
	ctx = within(t, time.Minute) // the first relay of a run has been built
	relay.Prepare = func(cmd *exec.Cmd) { cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+s.Cert) }
	start(t, ctx, relay)
	var sent []letter
	for _, name := range append(mechanisms, "wrong") {
		sent = append(sent, letter{from: "sender@example.com", to: strings.ToLower(name) + "@example.net", header: name, body: "text"})
	}
	post(t, relay.Addr(), sent...)
	awaitCount(t, ctx, last, len(mechanisms))
	for _, mechanism := range mechanisms {
		if want := "sasl_method=" + mechanism + ", sasl_username="; !strings.Contains(postfix.Log(), want) {
			t.Errorf("Postfix's log has no %q", want)
		}
	}
	line, err := relay.Await(ctx, "a refusal", func(line string) bool { return strings.Contains(line, `"unreachable"`) })
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"AUTH SCRAM-SHA-256 of user relay", "535 5.7.8"} {
		if !strings.Contains(line, want) {
			t.Errorf("the reason has no %q: %s", want, line)
		}
	}
	if n := last.Count(); n != len(mechanisms) {
		t.Errorf("%d messages, want %d", n, len(mechanisms))
	}
}
