package integration_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postrider/integration"
	"postrider/outbound/outboundtest"
)

const transcriptConfig = `hostname: relay.test
data: %[1]q
listen:
  - {name: local, address: "127.0.0.1:0", allow: ["127.0.0.0/8"]}
  - {name: submission, address: "127.0.0.1:0", auth: required, tls: {cert: cert.pem, key: key.pem}}
users: {file: users}
routes:
  - {name: next, hosts: [%[2]q], tls: encrypt, auth: {user: upstream, password: %[3]q, mechanism: LOGIN}}
admin: {socket: %[4]q}
`

// Sessions on both sides are taken down in clear text although they are encrypted, from their
// greeting to their end, and no password is in the files, in whatever form it was said.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	needs(t, "swaks")
	ctx := within(t, time.Minute)
	const in, out = "open sesame 42", "swordfish-upstream"
	config, _ := outboundtest.NewCertificate(t, "localhost", "127.0.0.1")
	peer := outboundtest.NewPeer(t, outboundtest.Script{
		Extensions: []string{"PIPELINING", "AUTH LOGIN"}, TLS: config, Users: map[string]string{"upstream": out},
	})
	relay := newRelay(t, "")
	dir := filepath.Dir(relay.Config)
	if _, _, err := integration.WriteCertificate(dir); err != nil {
		t.Fatal(err)
	}
	userCommand(t, ctx, relay, in+"\n", "add", "ann")
	data := filepath.Join(dir, "data")
	write(t, relay.Config, fmt.Sprintf(transcriptConfig, data, peer.Addr(), out, filepath.Join(dir, "admin.sock")))
	start(t, ctx, relay)

	why := []string{"--reason", "a test", "--author", "anna"}
	ask(t, ctx, relay, "has begun, for 10m", append([]string{"transcript", "start", "--listener", "sub*"}, why...)...)
	ask(t, ctx, relay, "has begun", append([]string{"transcript", "start", "--destination", "next", "--for", "1h"}, why...)...)
	for _, mechanism := range []string{"PLAIN", "LOGIN"} {
		c := &call{t: t, ctx: ctx, way: "starttls", addr: relay.AddrOf("submission"), from: "a@example.com", to: "b@example.net", message: filepath.Join(dir, "message")}
		write(t, c.message, "Subject: private matters\r\n\r\none\r\n.two\r\n")
		c.run("swaks", "--server", c.addr, "--tls", "--from", c.from, "--to", c.to, "--auth", mechanism,
			"--auth-user", "ann", "--auth-password", in, "--data", "@"+c.message, "--silent", "2")
	}
	awaitCount(t, ctx, peer, 2)

	var all []struct{ ID, Listener, Author string }
	list, err := relay.Command(ctx, "transcript", "list", "--json")
	if err == nil {
		err = json.Unmarshal([]byte(list), &all)
	}
	if err != nil || len(all) != 2 || all[0].Listener != "sub*" || !strings.Contains(all[1].Author, "anna") {
		t.Fatalf("%s: %v", list, err)
	}
	for _, tr := range all {
		ask(t, ctx, relay, "has ended", "transcript", "stop", tr.ID)
	}
	ask(t, ctx, relay, "had ended before", "transcript", "stop", all[0].ID)
	ask(t, ctx, relay, "transcript end "+all[1].ID, "journal")

	for i, wants := range [][]string{
		{"-> 220 relay.test", "<- STARTTLS\n", "** TLSv1.3, TLS_", "<- AUTH PLAIN (secret, 28 bytes)\n", "<- AUTH LOGIN\n", "-> 334 (challenge, ",
			"-> 235 ", "<- MAIL FROM:<a@example.com>", "<- (content: 41 bytes, 5 lines)\n", "queued as", "<- QUIT\n", "** closed\n"},
		{"** to 127.0.0.1 " + peer.Addr() + " for next\n", "<- 220 ", "-> EHLO relay.test\n", "-> STARTTLS\n", "certificate: ", "-> AUTH LOGIN\n",
			"<- 334 (challenge, ", "-> MAIL FROM:<a@example.com>", "-> DATA\n", "-> (content: ", "<- 250 "},
	} {
		text := ask(t, ctx, relay, "# {", "transcript", "show", all[i].ID)
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("transcript %d lacks %q:\n%s", i, want, text)
			}
		}
	}
	keepsSecrets(t, filepath.Join(data, "transcripts"), in, out)
}

// keepsSecrets wants the files of a directory to be their owner's alone, and to have neither of the
// passwords nor the text of messages.
func keepsSecrets(t *testing.T, dir string, passwords ...string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 2 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	forbidden := append([]string{"private matters"}, passwords...)
	for _, p := range passwords {
		forbidden = append(forbidden, base64.StdEncoding.EncodeToString([]byte(p)), base64.StdEncoding.EncodeToString([]byte("\x00ann\x00"+p)))
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v: %v", f.Name(), info.Mode(), err)
		}
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range forbidden {
			if strings.Contains(string(text), secret) {
				t.Errorf("%s has %q:\n%s", f.Name(), secret, text)
			}
		}
	}
}
