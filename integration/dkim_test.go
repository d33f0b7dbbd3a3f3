package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postrider/integration"
	"postrider/outbound/outboundtest"
)

// dkimConfig is a relay that signs with the keys in a directory, looks at where mail is from,
// and sends each domain's mail in another way.
const dkimConfig = `hostname: relay.test
data: %[1]q
listen:
  - {name: local, address: "127.0.0.1:0", allow: ["127.0.0.0/8"]}
  - {name: outside, address: "127.0.0.1:0", allow: ["127.0.0.0/8"], verify: [spf, dkim, dmarc]}
dkim:
  - directory: keys
dns: {servers: [%[2]q]}
routes:
  - {name: data, when: recipient.domain == "data.test", hosts: [%[3]q]}
  - {name: bdat, hosts: [%[4]q]}
rules:
  - {name: forged, at: data, when: dmarc.result == "fail", reject: "550 5.7.26 not from whom it says"}
  - {name: ours, at: data, when: sender.domain == "agency.test", sign_with: [example.com]}
retry: {first: 1s, max: 5s}
admin: {socket: %[5]q}
`

// gateway is such a relay with its DNS and two next hops, one of which knows CHUNKING.
type gateway struct {
	*integration.Relay
	dns        *outboundtest.DNS
	data, bdat *outboundtest.Peer
}

func newGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{
		Relay: newRelay(t, ""), dns: outboundtest.NewDNS(t),
		data: outboundtest.NewPeer(t, outboundtest.Script{Extensions: []string{"8BITMIME"}}),
		bdat: outboundtest.NewPeer(t, outboundtest.Script{
			Extensions: []string{"PIPELINING", "8BITMIME", "CHUNKING"},
			On: func(e outboundtest.Event) outboundtest.Action {
				if e.Phase == outboundtest.RCPT && strings.Contains(e.Line, "nobody@") {
					return outboundtest.Action{Reply: "550 5.1.1 nobody here"}
				}
				return outboundtest.Action{}
			},
		}),
	}
	dir := filepath.Dir(g.Config)
	text := fmt.Sprintf(dkimConfig, filepath.Join(dir, "data"), g.dns.Addr(), g.data.Addr(), g.bdat.Addr(), filepath.Join(dir, "admin.sock"))
	if err := os.WriteFile(g.Config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return g
}

// run runs a command that must succeed.
func (g *gateway) run(t *testing.T, ctx context.Context, args ...string) string {
	t.Helper()
	out, err := g.Command(ctx, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// publish puts the records of a domain's keys into DNS, as they are printed.
func (g *gateway) publish(t *testing.T, ctx context.Context, domain string) {
	t.Helper()
	for line := range strings.Lines(g.run(t, ctx, "dkim", "record", "--json", domain)) {
		var record struct {
			Name    string
			Strings []string
		}
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		g.dns.Add(fmt.Sprintf("%s. 60 IN TXT \"%s\"", record.Name, strings.Join(record.Strings, `" "`)))
	}
}

// verified has OpenDKIM ask the test's DNS records about a message and gives how many of its
// signatures it finds good.
func (g *gateway) verified(t *testing.T, ctx context.Context, message []byte) int {
	t.Helper()
	dir := t.TempDir()
	var published strings.Builder
	for line := range strings.Lines(g.run(t, ctx, "dkim", "record", "--json")) {
		var record struct{ Name, Text string }
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&published, "%s %s\n", record.Name, record.Text)
	}
	for name, text := range map[string]string{
		"dns": published.String(), "message": string(message),
		"conf": "Mode v\nTestDNSData file:" + filepath.Join(dir, "dns") + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(ctx, "opendkim", "-x", filepath.Join(dir, "conf"), "-t", filepath.Join(dir, "message"), "-vv").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return bytes.Count(out, []byte("dkim=pass"))
}

// oddLines is what transports have to take care with.
func oddLines() string {
	return "From: Ann\r\n\t<ann@example.com>\r\nSubject:  folded\r\n   twice  \r\nTo: b@data.test\r\n\r\n" +
		".\r\n..\r\n.dot\r\n  spaced \t out  \r\n\r\n\xe4\xf6\xfc\r\n" + strings.Repeat("long ", 400) + "\r\n.\r\n\r\n\r\n"
}

// A gateway's life with DKIM by its commands alone: a key is made, waits, is published, signs;
// what arrives, dots and chunks undone, is what was signed, in the eyes of OpenDKIM.
func TestDKIMGateway(t *testing.T) {
	t.Parallel()
	needs(t, "opendkim")
	g := newGateway(t)
	ctx := within(t, 2*time.Minute)
	g.run(t, ctx, "dkim", "keygen", "example.com")
	g.run(t, ctx, "dkim", "keygen", "example.com", "--type", "ed25519")
	start(t, ctx, g.Relay)
	post := func(from, content string, to ...string) {
		t.Helper()
		if err := smtp.SendMail(g.Addr(), nil, from, to, []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	post("ann@example.com", oddLines(), "b@data.test")
	g.data.WaitMessages(1)
	if got := g.data.Messages()[0].Body; bytes.Contains(got, []byte("DKIM-Signature")) {
		t.Errorf("signed before the key was published:\n%s", got)
	}
	if out := g.run(t, ctx, "dkim", "rotate"); strings.Count(out, "has no TXT record") != 2 {
		t.Errorf("before the records are published: %s", out)
	}
	g.publish(t, ctx, "example.com")
	if out := g.run(t, ctx, "dkim", "rotate"); strings.Count(out, ": activated") != 2 {
		t.Errorf("with the records published: %s", out)
	}
	if out := g.run(t, ctx, "dkim", "check"); strings.Count(out, "published ") != 2 {
		t.Errorf("check: %s", out)
	}
	// The relay looks at its keys again within a second, while mail comes.
	for n := 2; ; n++ {
		post("ann@example.com", oddLines(), "b@data.test")
		g.data.WaitMessages(n)
		if messages := g.data.Messages(); bytes.HasPrefix(messages[len(messages)-1].Body, []byte("DKIM-Signature")) {
			if got := g.verified(t, ctx, messages[len(messages)-1].Body); got != 2 {
				t.Errorf("%d signatures verify by DATA, want 2:\n%s", got, messages[len(messages)-1].Body)
			}
			break
		}
		if ctx.Err() != nil {
			t.Fatal("the relay never signed")
		}
	}
	post("ann@example.com", oddLines(), "b@bdat.test")
	g.bdat.WaitMessages(1)
	got := g.bdat.Messages()[0].Body
	if n := g.verified(t, ctx, got); n != 2 {
		t.Errorf("%d signatures verify by BDAT, want 2:\n%s", n, got)
	}
	// A rule may choose the key of another domain than the author's.
	post("bob@agency.test", "From: bob@agency.test\r\n\r\nText.\r\n", "b@bdat.test")
	g.bdat.WaitMessages(2)
	if n := g.verified(t, ctx, g.bdat.Messages()[1].Body); n != 2 {
		t.Errorf("%d signatures by the rule's keys verify, want 2:\n%s", n, g.bdat.Messages()[1].Body)
	}
	if n := g.verified(t, ctx, bytes.Replace(got, []byte("spaced"), []byte("Spaced"), 1)); n != 0 {
		t.Errorf("%d signatures verify though a byte was changed", n)
	}
}

// A notice of our own is signed with the key of our name (conformance D06).
func TestDKIMNotice(t *testing.T) {
	t.Parallel()
	needs(t, "opendkim")
	g := newGateway(t)
	ctx := within(t, time.Minute)
	g.run(t, ctx, "dkim", "keygen", "relay.test", "--type", "ed25519", "--activate")
	if out, err := g.Command(ctx, "check"); err == nil || !strings.Contains(err.Error(), "postrider dkim keygen example.com --config") {
		t.Errorf("a key that a rule names is not there: %s, %v", out, err)
	}
	g.run(t, ctx, "dkim", "keygen", "example.com", "--type", "ed25519")
	start(t, ctx, g.Relay)
	if err := send(g.Addr(), "ann@data.test", "nobody@bdat.test"); err != nil {
		t.Fatal(err)
	}
	g.data.WaitMessages(1)
	notice := g.data.Messages()[0]
	if notice.From != "" || g.verified(t, ctx, notice.Body) != 1 {
		t.Errorf("the notice is not signed, or not so that it verifies:\n%s", notice.Body)
	}
}

// What comes in from outside is verified with DNS and stamped, and DNS that is sick stops
// nothing.
func TestVerifiesWhatComesIn(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	ctx := within(t, time.Minute)
	g.run(t, ctx, "dkim", "keygen", "example.com", "--type", "ed25519", "--activate")
	g.publish(t, ctx, "example.com")
	g.dns.Add(`example.com. 60 IN TXT "v=spf1 ip4:127.0.0.0/8 -all"`, `_dmarc.example.com. 60 IN TXT "v=DMARC1; p=reject"`,
		`evil.test. 60 IN TXT "v=spf1 -all"`)
	start(t, ctx, g.Relay)
	// A message that has been signed by the way out comes in again.
	if err := smtp.SendMail(g.Addr(), nil, "ann@example.com", []string{"b@data.test"}, []byte(oddLines())); err != nil {
		t.Fatal(err)
	}
	g.data.WaitMessages(1)
	signed := g.data.Messages()[0].Body
	// Rules see what was found.
	if err := smtp.SendMail(g.AddrOf("outside"), nil, "eve@evil.test", []string{"b@data.test"}, []byte(oddLines())); err == nil || !strings.Contains(err.Error(), "5.7.26") {
		t.Errorf("a forged message: %v", err)
	}
	forged := append([]byte("Authentication-Results: relay.test; dmarc=pass header.from=example.com\r\n"), signed...)
	for i, test := range []struct {
		from, want string
		before     func()
	}{
		{"ann@example.com", "spf=pass smtp.mailfrom=example.com; dkim=pass header.d=example.com; dmarc=pass (p=reject) header.from=example.com", func() {}},
		{"eve@evil.test", "spf=fail smtp.mailfrom=evil.test; dkim=pass header.d=example.com; dmarc=pass (p=reject) header.from=example.com", func() {}},
		{"eve@evil.test", "spf=temperror smtp.mailfrom=evil.test; dkim=temperror header.d=example.com; dmarc=temperror header.from=example.com",
			func() { g.dns.Fail("", outboundtest.Fault{Rcode: 2}) }},
	} {
		test.before()
		if err := smtp.SendMail(g.AddrOf("outside"), nil, test.from, []string{"b@data.test"}, forged); err != nil {
			t.Fatal(err)
		}
		g.data.WaitMessages(i + 2)
		got := string(g.data.Messages()[i+1].Body)
		if strings.Count(got, "Authentication-Results:") != 1 || !strings.Contains(stampOf(got), test.want) {
			t.Errorf("want %s\ngot  %s", test.want, got)
		}
	}
}

// stampOf gives the results without those details that change.
func stampOf(message string) string {
	_, stamp, _ := strings.Cut(message, "Authentication-Results: relay.test;")
	stamp, _, _ = strings.Cut(stamp, "Received:")
	var all []string
	for part := range strings.SplitSeq(stamp, ";") {
		part = strings.TrimSpace(part)
		if strings.HasPrefix(part, "dkim=") {
			part, _, _ = strings.Cut(part, " header.s=")
		}
		all = append(all, part)
	}
	return strings.Join(all, "; ")
}
