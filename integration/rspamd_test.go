package integration_test

import (
	"fmt"
	"net/smtp"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postrider/integration"
	"postrider/outbound/outboundtest"
)

// rspamdConfig has rspamd judge messages as a milter, by itself: without modules, and with a list of top
// level domains and one of languages that it need not read for seconds.
const rspamdConfig = `options {
  tempdir = "%[1]s";
  control_socket = "%[1]s/control mode=0600";
  url_tld = "%[1]s/tld";
  filters = "";
  enable_test_patterns = true;
  disable_hyperscan = true;
  dns { nameserver = ["127.0.0.1:9"]; timeout = 0.1s; retransmits = 1; }
}
lang_detection { languages = "%[1]s/none"; }
logging { type = "console"; level = "warning"; }
worker "rspamd_proxy" {
  bind_socket = "127.0.0.1:%[2]d";
  milter = yes;
  count = 1;
  upstream "local" { default = yes; self_scan = yes; }
}
actions { reject = 15; add_header = 6; rewrite_subject = 8; }
`

// gtube is what rspamd takes for spam: X is rejected, Y gets a field, and of Z the subject is changed.
const gtube = "JS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"

// rspamd runs rspamd, and gives its address.
func rspamd(t *testing.T) string {
	t.Helper()
	needs(t, "rspamd")
	dir := t.TempDir()
	port, err := integration.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "conf")
	write(t, conf, fmt.Sprintf(rspamdConfig, dir, port))
	write(t, filepath.Join(dir, "tld"), "test\n")
	p, err := integration.Start(exec.Command("rspamd", "-f", "-i", "-c", conf), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := p.Stop(); err != nil {
			t.Errorf("rspamd: %v", err)
		}
	})
	address := fmt.Sprintf("127.0.0.1:%d", port)
	awaitListening(t, p, "tcp", address)
	return address
}

// rspamd, as it comes with Debian, judges as a milter: what it rejects the client hears of, what it marks
// and rewrites goes out so, and all else as it came.
func TestMilterRspamd(t *testing.T) {
	t.Parallel()
	address := rspamd(t)
	ctx := within(t, time.Minute)
	peer := outboundtest.NewPeer(t, outboundtest.Script{})
	relay := newRelay(t, smartHost(peer.Addr())+"rules:\n  - {name: spam, at: data, when: 'header(\"X-Spam\") == \"Yes\"', set_header: [\"X-Rule: it is spam\"]}\n")
	rewrite(t, relay, `allow: ["127.0.0.0/8"]}`, fmt.Sprintf(`allow: ["127.0.0.0/8"], milters: [{name: rspamd, address: %q}]}`, address))
	start(t, ctx, relay)
	post := func(body string) error {
		content := "From: ann@example.com\r\nTo: b@example.net\r\nSubject: one\r\nDate: Sun, 22 Nov 2026 05:00:00 +0000\r\nMessage-ID: <1@example.com>\r\n\r\n" + body
		return smtp.SendMail(relay.Addr(), nil, "ann@example.com", []string{"b@example.net"}, []byte(content))
	}
	if err := post("X" + gtube); err == nil || !strings.HasPrefix(err.Error(), "554 ") {
		t.Errorf("GTUBE: %v, want 554", err)
	}
	for i, test := range []struct {
		body, has, hasNot string
	}{
		{"Hello.\r\n", "\r\nSubject: one\r\n", "X-Spam"},
		{"Y" + gtube, "\r\nX-Rule: it is spam\r\n", "\r\nSubject: ***"},
		{"Z" + gtube, "\r\nSubject: *** SPAM *** one\r\n", "\r\nSubject: one\r\n"},
	} {
		if err := post(test.body); err != nil {
			t.Fatalf("%.1q: %v", test.body, err)
		}
		awaitCount(t, ctx, peer, i+1)
		got := string(peer.Messages()[i].Body)
		if !strings.Contains(got, test.has) || strings.Contains(got, test.hasNot) || !strings.HasSuffix(got, "\r\n\r\n"+test.body) {
			t.Errorf("%.1q: want %q, not %q:\n%s", test.body, test.has, test.hasNot, got)
		}
	}
}
