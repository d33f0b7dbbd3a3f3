package integration_test

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net/smtp"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"postrider/integration"
	"postrider/outbound/outboundtest"
)

const redactedConfig = `hostname: relay.test
data: %[1]q
listen:
  - {name: local, address: "127.0.0.1:0", allow: ["127.0.0.0/8"]}
  - {name: submission, address: "127.0.0.1:0", auth: required, tls: {cert: cert.pem, key: key.pem}}
users: {file: users}
routes:
  - {name: scram, when: recipient.domain == "scram.test", hosts: [%[2]q], tls: encrypt, auth: {user: upstream, password: %[3]q, mechanism: scram-sha-256}}
  - {name: plain, when: recipient.domain == "plain.test", hosts: [%[4]q], tls: encrypt, auth: {user: upstream, password: %[3]q, mechanism: plain}}
  - {name: oauth, hosts: [%[5]q], auth: {user: relay@example.com, oauth2: {provider: custom, client_id: c, token_url: %[6]q, token_file: %[7]q}}}
admin: {socket: %[8]q}
`

// What a transcript may have from AUTH to the reply that ends it, or the end of the session.
var (
	begins   = regexp.MustCompile(`^(<-|->) (?i:AUTH) `)
	ends     = regexp.MustCompile(`^((<-|->) [245]\d\d |\*\* )`)
	harmless = regexp.MustCompile(`^(<-|->)( AUTH [A-Za-z0-9-]+( \(secret, \d+ bytes\))?| \(secret, \d+ bytes\)| \*| 334( \(challenge, \d+ bytes\))?)?$`)
)

// No transcript has anything of an exchange of AUTH but its mechanism, whichever that is, whoever speaks, and
// however it ends.
func TestTranscriptsOfLogins(t *testing.T) {
	t.Parallel()
	binary(t) // building it takes its time
	ctx := within(t, time.Minute)
	const in, out = "open-sesame-in", "swordfish-upstream"
	config, _ := outboundtest.NewCertificate(t, "localhost", "127.0.0.1")
	peer := func(mechanism string) *outboundtest.Peer {
		return outboundtest.NewPeer(t, outboundtest.Script{TLS: config, Mechanisms: []string{mechanism}, Users: map[string]string{"upstream": out}})
	}
	a := newAuthority(t)
	cloud := outboundtest.NewPeer(t, outboundtest.Script{Mechanisms: []string{"XOAUTH2"}, Token: a.takes})
	_, token := a.configure(t, cloud)
	relay := newRelay(t, "")
	dir := filepath.Dir(relay.Config)
	if _, _, err := integration.WriteCertificate(dir); err != nil {
		t.Fatal(err)
	}
	userCommand(t, ctx, relay, in+"\n", "add", "ann", "--scram")
	data := filepath.Join(dir, "data")
	write(t, relay.Config, fmt.Sprintf(redactedConfig, data, peer("SCRAM-SHA-256").Addr(), out, peer("PLAIN").Addr(), cloud.Addr(), a.url, token, filepath.Join(dir, "admin.sock")))
	start(t, ctx, relay)
	ask(t, ctx, relay, "has begun", "transcript", "start", "--listener", "submission", "--reason", "logins")
	for _, route := range []string{"scram", "plain", "oauth"} {
		ask(t, ctx, relay, "has begun", "transcript", "start", "--destination", route, "--reason", "logins")
		if err := send(relay.Addr(), "ann@one.test", "bob@"+route+".test"); err != nil {
			t.Fatal(err)
		}
	}
	said := logins(t, relay.AddrOf("submission"), in)
	eventually(t, "all mail", func() bool {
		list, err := relay.Command(ctx, "queue", "list", "--json")
		return err == nil && strings.TrimSpace(list) == ""
	})
	a.mu.Lock()
	for access := range a.access {
		said = append(said, access)
	}
	a.mu.Unlock()

	var text bytes.Buffer
	for _, end := range []string{"-> 535 ", "-> 501 5.5.2 Malformed", "SCRAM-SHA-256 (secret", "XOAUTH2 (secret", "PLAIN (secret", "LOGIN\n"} {
		eventually(t, end, func() bool {
			text.Reset()
			files, err := filepath.Glob(filepath.Join(data, "transcripts", "*"))
			for _, f := range files {
				content, readErr := os.ReadFile(f)
				if text.Write(content); err != nil || readErr != nil {
					return false
				}
			}
			return strings.Contains(text.String(), end)
		})
	}
	for _, secret := range append(said, in, out) {
		for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret))} {
			if strings.Contains(text.String(), form) {
				t.Errorf("a transcript has %q", form)
			}
		}
	}
	exchange := make(map[string]bool) // by session: clients come one upon the other
	for line := range strings.Lines(text.String()) {
		if strings.HasPrefix(line, "#") {
			clear(exchange) // the next file
			continue
		}
		_, rest, _ := strings.Cut(line, " ")
		session, said, _ := strings.Cut(strings.TrimSuffix(rest, "\n"), " ")
		if said = strings.TrimSpace(said); !exchange[session] && !begins.MatchString(said) {
			continue
		}
		exchange[session] = !ends.MatchString(said)
		if exchange[session] && !harmless.MatchString(said) {
			t.Errorf("in an exchange: %q", line)
		}
	}
	if t.Failed() {
		t.Log(text.String())
	}
}

// logins speaks each mechanism, rightly and wrongly, and gives all lines that it said.
func logins(t *testing.T, addr, password string) (said []string) {
	t.Helper()
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, lines := range [][]string{
		{"AUTH PLAIN " + encode("\x00ann\x00"+password)},
		{"auth plain", encode("\x00ann\x00" + password)},
		{"AUTH PLAIN", encode("\x00ann\x00" + "not-" + password)},
		{"AUTH LOGIN", encode("ann"), encode(password)},
		{"AUTH LOGIN " + encode("ann-as-well"), encode("wrong-" + password)},
		{"AUTH SCRAM-SHA-256 " + encode("n,,n=ann,r=nonce-of-the-client"), encode("c=biws,r=nonce-of-the-client,p=" + encode("the proof of a password"))},
		{"AUTH SCRAM-SHA-256 " + encode("n,,n=ann,r=nonce-of-another"), "*"},
		{"AUTH XOAUTH2 " + encode("user=ann\x01auth=Bearer token-of-ann\x01\x01")},
		{"AUTH OAUTHBEARER " + encode("n,a=ann,\x01auth=Bearer token-of-bob\x01\x01")},
		{"AUTH PLAIN not base64: " + password},
	} {
		c, err := smtp.Dial(addr)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.StartTLS(&tls.Config{InsecureSkipVerify: true}); err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			if err := c.Text.PrintfLine("%s", line); err != nil {
				t.Fatal(err)
			}
			code, _, _ := c.Text.ReadResponse(0)
			if words := strings.Fields(line); len(words[len(words)-1]) > 12 {
				said = append(said, words[len(words)-1])
			}
			if code != 334 {
				break
			}
		}
		c.Close()
	}
	return said
}
