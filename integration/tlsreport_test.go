package integration_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What a day brought is counted and kept over the end of the process, and the report on a day that
// is over goes through the queue to whom the domain names, signed.
func TestTLSReport(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	net := newInternet(t,
		"dest.test. 300 IN MX 10 mx.dest.test.", "mx.dest.test. 300 IN A 127.0.0.2",
		`_smtp._tls.dest.test. 300 IN TXT "v=TLSRPTv1; rua=mailto:tls@reports.test"`,
		"reports.test. 300 IN MX 10 mx.reports.test.", "mx.reports.test. 300 IN A 127.0.0.3",
	)
	dest, reports := net.peer(t, "127.0.0.2"), net.peer(t, "127.0.0.3")
	relay := newRelay(t, net.config()+`
tls_report: {contact: "tls@example.com", organization: Example}
dkim: [{domain: example.com, selector: s1, key: s1.pem}]
`)
	dir := filepath.Dir(relay.Config)
	keygen := exec.CommandContext(ctx, relay.Binary, "dkim", "keygen", "example.com", "--selector", "s1", "--out", filepath.Join(dir, "s1.pem"))
	if out, err := keygen.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	days := filepath.Join(dir, "data", "tls-report")
	if err := os.MkdirAll(days, 0o700); err != nil {
		t.Fatal(err)
	}
	day := time.Now().UTC().Add(-48 * time.Hour).Format(time.DateOnly)
	const was = `{"version":1,"domains":{"dest.test":{"policies":[{"policy":{"policy-type":"no-policy-found","policy-domain":"dest.test"},"successes":7,"failures":0}]}}}`
	if err := os.WriteFile(filepath.Join(days, day+".json"), []byte(was), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, ctx, relay)
	reports.WaitMessages(1)
	m := reports.Messages()[0]
	for _, want := range []string{
		"DKIM-Signature: ", "From: <tls@example.com>", "TLS-Required: No", "TLS-Report-Domain: dest.test", "application/tlsrpt+gzip", "Report-ID: <" + day + ".dest.test@",
	} {
		if !strings.Contains(string(m.Body), want) {
			t.Errorf("the report has no %q:\n%s", want, m.Body)
		}
	}
	if m.From != "" {
		t.Errorf("reverse-path %q, want none", m.From)
	}
	if err := send(relay.Addr(), "sender@origin.test", "user@dest.test"); err != nil {
		t.Fatal(err)
	}
	dest.WaitMessages(1)
	if _, err := relay.Stop(); err != nil {
		t.Fatal(err)
	}
	checkTLSDays(t, days)
}

// checkTLSDays wants the day that was reported to be gone, and today to have the session for mail
// without TLS and none for the report.
func checkTLSDays(t *testing.T, dir string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Fatalf("kept %v: %v, want one day", files, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, files[0].Name()))
	if err != nil {
		t.Fatal(err)
	}
	var kept struct {
		Domains map[string]struct {
			Policies []struct{ Successes, Failures int }
		}
	}
	if err := json.Unmarshal(text, &kept); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(kept.Domains); got != "map[dest.test:{[{0 1}]}]" {
		t.Errorf("counted %s", got)
	}
}
