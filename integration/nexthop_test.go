package integration_test

import (
	"context"
	"errors"
	"fmt"
	"net/textproto"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"postrider/integration"
	"postrider/outbound/outboundtest"
)

// secured gives a next hop's demands, with a certificate in the folder.
func secured(t *testing.T, dir, mechanisms, implicit string) integration.Secured {
	t.Helper()
	cert, key, err := integration.WriteCertificate(dir)
	if err == nil {
		err = os.Chmod(key, 0o644) // the next hops are users of their own
	}
	if err != nil {
		t.Fatal(err)
	}
	return integration.Secured{Cert: cert, Key: key, User: "relay", Password: "p=w,d %41", Mechanisms: mechanisms, Implicit: implicit}
}

// securedPostfix starts a Postfix that wants TLS and a user and sends everything to the next hop.
func securedPostfix(t *testing.T, ctx context.Context, nextHop, mechanisms, implicit string) (*integration.Postfix, integration.Secured) {
	t.Helper()
	needs(t, "postfix")
	dir := folder(t)
	s := secured(t, dir, mechanisms, implicit)
	p, err := integration.NewSecuredPostfix(t.Context(), dir, nextHop, s)
	if errors.Is(err, integration.ErrNotRoot) {
		missing(t, err.Error())
	}
	if err == nil {
		err = p.Start(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Logf("Postfix's log:\n%s", p.Log())
		}
	})
	return p, s
}

// relayTo starts a relay that authenticates to the next hop by the mechanism and trusts its certificate.
func relayTo(t *testing.T, ctx context.Context, host, mechanism string, s integration.Secured) *integration.Relay {
	t.Helper()
	r := newRelay(t, fmt.Sprintf(`routes:
  - {name: next, hosts: [%q], tls: verify, auth: {user: %q, password: %q, mechanism: %s}}
retry: {first: 1s, max: 5s}
`, host, s.User, s.Password, mechanism))
	r.Prepare = func(cmd *exec.Cmd) { cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+s.Cert) }
	start(t, ctx, r)
	return r
}

// letter is a message with what its envelope asks for.
type letter struct {
	from, mail, to, rcpt, header, body string
}

// post sends letters over one session.
func post(t *testing.T, addr string, letters ...letter) {
	t.Helper()
	c, err := textproto.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	say := func(want int, format string, args ...any) {
		t.Helper()
		if format != "" {
			if err := c.PrintfLine(format, args...); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := c.ReadResponse(want); err != nil {
			t.Fatalf("%s: %v", fmt.Sprintf(format, args...), err)
		}
	}
	say(220, "")
	say(250, "EHLO client.test")
	for _, l := range letters {
		say(250, "MAIL FROM:<%s>%s", l.from, l.mail)
		say(250, "RCPT TO:<%s>%s", l.to, l.rcpt)
		say(354, "DATA")
		w := c.DotWriter()
		fmt.Fprintf(w, "From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n%s\r\n", l.from, l.to, l.header, l.body)
		w.Close()
		say(250, "")
	}
	say(221, "QUIT")
}

// awaitCount waits for n messages, no longer than ctx.
func awaitCount(t *testing.T, ctx context.Context, p *outboundtest.Peer, n int) {
	t.Helper()
	for tick := time.NewTicker(20 * time.Millisecond); p.Count() < n; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%d messages of %d have come: %v", p.Count(), n, ctx.Err())
		}
	}
}

// letters are one of each kind.
func letters() []letter {
	return []letter{
		{from: "sender@example.com", to: "plain@example.net", header: "plain", body: "text"},
		{from: "sender@example.com", mail: " BODY=8BITMIME", to: "eight@example.net", header: "eight bits", body: "Grüße"},
		{from: "sénder@example.com", mail: " SMTPUTF8 BODY=8BITMIME", to: "empfänger@example.net", header: "Grüße", body: "Grüße"},
		{from: "sender@example.com", mail: " RET=HDRS ENVID=env+2B1", to: "dsn@example.net", rcpt: " NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;alias+2B1@example.org", header: "notices", body: "text"},
		{from: "sender@example.com", to: "large@example.net", header: "large", body: strings.Repeat(strings.Repeat("x", 70)+"\r\n", 5000)},
	}
}

// Postfix takes our mail over TLS and by its mechanisms, with whatever the envelope asks for.
func TestPostfixTLSAuth(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ mechanism, implicit string }{
		{"plain", ""}, {"login", ""}, {"plain", "127.0.0.41:465"},
	} {
		name := tt.mechanism
		if tt.implicit != "" {
			name += " implicit"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := within(t, 2*time.Minute)
			last := outboundtest.NewPeer(t, outboundtest.Script{})
			implicit := tt.implicit
			if implicit == "" {
				port, err := integration.FreePort()
				if err != nil {
					t.Fatal(err)
				}
				implicit = fmt.Sprintf("127.0.0.1:%d", port)
			}
			postfix, s := securedPostfix(t, ctx, last.Addr(), strings.ToUpper(tt.mechanism), implicit)
			host := postfix.Addr()
			if tt.implicit != "" {
				host = tt.implicit
			}
			relay := relayTo(t, ctx, host, tt.mechanism, s)
			sent := letters()
			post(t, relay.Addr(), sent...)
			awaitCount(t, ctx, last, len(sent))
			for _, want := range []string{"sasl_method=" + strings.ToUpper(tt.mechanism) + ",", "sasl_username=relay", "TLS connection established from"} {
				if !strings.Contains(postfix.Log(), want) {
					t.Errorf("Postfix's log has no %q", want)
				}
			}
			wantLetters(t, last, sent)
		})
	}
}

// wantLetters looks at what arrived at the end, behind Postfix.
func wantLetters(t *testing.T, last *outboundtest.Peer, sent []letter) {
	t.Helper()
	got := make(map[string]outboundtest.Message)
	for _, m := range last.Messages() {
		got[m.To[0]] = m
	}
	for _, l := range sent {
		m, ok := got[l.to]
		if !ok || m.From != l.from || !strings.Contains(string(m.Body), "\r\nSubject: "+l.header+"\r\n") || !strings.HasSuffix(string(m.Body), "\r\n\r\n"+l.body+"\r\n") {
			t.Errorf("the message for %s: %t, from %s, %d bytes", l.to, ok, m.From, len(m.Body))
			continue
		}
		if want := strings.Contains(l.mail, "SMTPUTF8"); strings.Contains(m.Mail, "SMTPUTF8") != want {
			t.Errorf("%s: %s", l.to, m.Mail)
		}
		if l.rcpt == "" {
			continue
		}
		if !strings.Contains(m.Mail, "RET=HDRS") || !strings.Contains(m.Mail, "ENVID=env+2B1") ||
			!strings.Contains(m.Rcpt[0], "NOTIFY=SUCCESS,FAILURE") || !strings.Contains(m.Rcpt[0], "ORCPT=rfc822;alias+2B1@example.org") {
			t.Errorf("a request for notices became %s, %s", m.Mail, m.Rcpt[0])
		}
	}
}

// A request for notices goes to Postfix, whose next hop cannot see to it: Postfix tells the sender, with
// the sender's own names for the message and the recipient, and we do not (rows D01, D02).
func TestPostfixNotices(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	last := outboundtest.NewPeer(t, outboundtest.Script{
		Extensions: []string{"PIPELINING", "8BITMIME", "SMTPUTF8"},
		On:         outboundtest.Answer(map[string]string{"RCPT TO:<bad@example.net>": "550 5.1.1 no such user"}),
	})
	postfix := newPostfix(t, ctx, last.Addr(), "smtpd_discard_ehlo_keywords =\n")
	relay := startRelay(t, ctx, smartHost(postfix.Addr()))
	post(t, relay.Addr(),
		letter{from: "sender@example.com", mail: " RET=HDRS ENVID=env+2B1", to: "good@example.net", rcpt: " NOTIFY=SUCCESS ORCPT=rfc822;alias+2B1@example.org", header: "one", body: "text"},
		letter{from: "sender@example.com", mail: " RET=FULL ENVID=env2", to: "bad@example.net", rcpt: " NOTIFY=FAILURE ORCPT=rfc822;second@example.org", header: "two", body: "text"},
		letter{from: "sender@example.com", to: "bad@example.net", rcpt: " NOTIFY=NEVER", header: "three", body: "text"},
		letter{from: "sender@example.com", to: "last@example.net", header: "four", body: "text"},
	)
	awaitCount(t, ctx, last, 4) // two messages and two notices
	notices := make(map[string]string)
	for _, m := range last.Messages() {
		if m.From != "" {
			continue
		}
		body := string(m.Body)
		for _, id := range []string{"env+1", "env2"} {
			if strings.Contains(body, "Original-Envelope-Id: "+id+"\r\n") {
				notices[id] = body
			}
		}
	}
	for id, wants := range map[string][]string{
		"env+1": {"Action: relayed", "Original-Recipient: rfc822;alias+1@example.org", "Final-Recipient: rfc822; good@example.net"},
		"env2":  {"Action: failed", "Original-Recipient: rfc822;second@example.org", "550 5.1.1 no such user"},
	} {
		for _, want := range wants {
			if !strings.Contains(notices[id], want) {
				t.Errorf("the notice for %s has no %q:\n%s", id, want, notices[id])
			}
		}
	}
	if len(notices) != 2 || last.Count() != 4 {
		t.Errorf("%d notices among %d messages, want 2 among 4", len(notices), last.Count())
	}
}

// Exim takes our mail over TLS and by its mechanisms, in chunks, with whatever the envelope asks for.
func TestEximTLSAuth(t *testing.T) {
	t.Parallel()
	needs(t, "exim4")
	for _, tt := range []struct{ mechanism, implicit, listen string }{
		{"plain", "", "127.0.0.42:465"}, {"login", "", "127.0.0.43:465"}, {"plain", "implicit", "127.0.0.44:465"},
	} {
		t.Run(strings.TrimSpace(tt.mechanism+" "+tt.implicit), func(t *testing.T) {
			t.Parallel()
			if os.Getuid() != 0 {
				missing(t, "port 465 is root's")
			}
			ctx := within(t, 2*time.Minute)
			dir := folder(t)
			s := secured(t, dir, "", tt.listen)
			s.Password = "secret" // one that Exim's expansion takes as it stands
			exim, err := integration.StartSecuredExim(ctx, dir, s)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				exim.Stop()
				if t.Failed() {
					t.Logf("Exim's log:\n%s", exim.Log())
				}
			})
			host := exim.Addr()
			if tt.implicit != "" {
				host = tt.listen
			}
			relay := relayTo(t, ctx, host, tt.mechanism, s)
			sent := letters()
			post(t, relay.Addr(), sent...)
			delivered := 0
			if _, err := relay.Await(ctx, "the deliveries", func(line string) bool {
				delivered = 0
				for _, line := range relay.Lines() {
					if strings.Contains(line, `"message":"delivered"`) {
						delivered++
					}
				}
				return delivered == len(sent)
			}); err != nil {
				t.Fatalf("%d delivered: %v", delivered, err)
			}
			if n := strings.Count(exim.Log(), " A="+tt.mechanism+":relay "); n != len(sent) {
				t.Errorf("%d messages of the user by %s, want %d", n, tt.mechanism, len(sent))
			}
			if n := strings.Count(exim.Log(), " X=TLS1."); n != len(sent) || strings.Count(exim.Log(), " K ") != len(sent) {
				t.Errorf("%d messages over TLS, %d in chunks, want %d", n, strings.Count(exim.Log(), " K "), len(sent))
			}
			queue := exim.Queued()
			for _, want := range []string{"-dsn_envid env+2B1", "rfc822;alias+2B1@example.org", "empfänger@example.net", "-smtputf8"} {
				if !strings.Contains(queue, want) {
					t.Errorf("Exim's queue has no %q", want)
				}
			}
		})
	}
}
