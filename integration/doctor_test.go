package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postrider/integration"
	"postrider/outbound/outboundtest"
)

// finding is a line of doctor --json.
type finding struct{ Check, Status, Found, Advice string }

// doctor examines a relay and gives what it found, and its exit code.
func doctor(t *testing.T, ctx context.Context, r *integration.Relay, args ...string) ([]finding, int) {
	t.Helper()
	cmd := exec.CommandContext(ctx, r.Binary, append([]string{"doctor", "--json", "--config", r.Config}, args...)...)
	out, err := cmd.Output()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	var all []finding
	for line := range strings.Lines(string(out)) {
		var f finding
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if (f.Status == "ok") != (f.Advice == "") {
			t.Errorf("%+v: advice is for what is not ok", f)
		}
		all = append(all, f)
	}
	return all, cmd.ProcessState.ExitCode()
}

// wantFinding looks for a finding of a status that says so.
func wantFinding(t *testing.T, all []finding, check, status, says string) {
	t.Helper()
	for _, f := range all {
		if f.Check == check && f.Status == status && strings.Contains(f.Found, says) {
			return
		}
	}
	t.Errorf("no %s of %s that says %q in:\n%+v", status, check, says, all)
}

// doctored is a relay with three routes, to a host that takes its password, one that does
// not and one that is dead, and a listener whose certificate an authority of nobody's has signed.
func doctored(t *testing.T) (*integration.Relay, *outboundtest.Peer) {
	t.Helper()
	peer := outboundtest.NewPeer(t, outboundtest.Script{Users: map[string]string{"shop": "secret"}})
	dns := outboundtest.NewDNS(t, "org. IN NS a.org.", "relay.test. IN A 203.0.113.7",
		"example.com. IN TXT \"v=spf1 -all\"", "example.com. IN TXT \"v=spf1 +all\"", "_dmarc.example.com. IN TXT \"v=DMARC1; p=none\"")
	relay := newRelay(t, "")
	dir := filepath.Dir(relay.Config)
	cert, key, err := integration.WriteCertificate(dir)
	if err != nil {
		t.Fatal(err)
	}
	port, err := integration.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`hostname: relay.test
data: %[1]q
listen:
  - {name: local, address: "127.0.0.1:%[2]d", allow: ["127.0.0.0/8"]}
  - {name: tls, address: "127.0.0.1:0", allow: ["0.0.0.0/0"], tls: {cert: %[3]q, key: %[4]q}}
dkim: [{directory: keys}]
dns: {servers: [%[5]q]}
routes:
  - {name: wrong, when: recipient.domain == "wrong.test", hosts: [%[6]q], auth: {user: shop, password: guess, plain: true}}
  - {name: dead, when: recipient.domain == "dead.test", hosts: ["127.0.0.1:9"]}
  - {name: right, hosts: [%[6]q], auth: {user: shop, password: secret, plain: true}}
admin: {socket: %[7]q}
`, filepath.Join(dir, "data"), port, cert, key, dns.Addr(), peer.Addr(), filepath.Join(dir, "admin.sock"))
	if err := os.WriteFile(relay.Config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	return relay, peer
}

// What is wrong is found, each with advice, and what is right too; running or not, and no mail is
// sent but the message that was asked for.
func TestDoctor(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	relay, peer := doctored(t)
	if out, err := relay.Command(ctx, "dkim", "keygen", "example.com"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	all, code := doctor(t, ctx, relay)
	wantFinding(t, all, "relay", "warn", "nobody answers")
	wantFinding(t, all, "route", "ok", "let us log in as shop")
	if code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}

	start(t, ctx, relay)
	all, code = doctor(t, ctx, relay, "--send-to", "ann@example.net")
	for _, want := range []finding{
		{Check: "relay", Status: "ok", Found: "moves"},
		{Check: "name", Status: "warn", Found: "203.0.113.7"},
		{Check: "clock", Status: "ok"},
		{Check: "dns", Status: "ok", Found: "answered"},
		{Check: "certificate", Status: "warn", Found: "tls"},
		{Check: "route", Status: "ok", Found: "right:"},
		{Check: "route", Status: "fail", Found: "wrong:"},
		{Check: "route", Status: "fail", Found: "dead: 127.0.0.1:9"},
		{Check: "dkim", Status: "warn", Found: "_domainkey.example.com"},
		{Check: "spf", Status: "fail", Found: "2 records"},
		{Check: "dmarc", Status: "ok", Found: "p=none"},
		{Check: "open relay", Status: "fail", Found: "tls lets 0.0.0.0/0 relay"},
		{Check: "message", Status: "ok", Found: "queued as"},
		{Check: "message", Status: "ok", Found: "has taken it after"},
	} {
		wantFinding(t, all, want.Check, want.Status, want.Found)
	}
	if code != 1 || peer.Count() != 1 {
		t.Errorf("exit code %d and %d messages, want 1 and 1", code, peer.Count())
	}
}
