package outbound_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
	"postrider/outbound/tlsrpt"
	"postrider/relay"
)

// tallied shows what a ledger has on disk, a line for each domain and policy.
func tallied(t *testing.T, l *tlsrpt.Ledger, dir string) string {
	t.Helper()
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var day tlsrpt.Day
		if err := json.Unmarshal(text, &day); err != nil {
			t.Fatal(err)
		}
		for _, domain := range slices.Sorted(maps.Keys(day.Domains)) {
			for _, p := range day.Domains[domain].Policies {
				line := fmt.Sprintf("%s: %s of %s +%d -%d", domain, p.Policy.Type, p.Policy.Domain, p.Successes, p.Failures)
				for _, d := range p.Details {
					line += fmt.Sprintf(" %s from %q at %q %q", d.Failure.Type, d.Failure.SendingIP, d.Failure.Host, d.Failure.Greeting)
				}
				lines = append(lines, line)
			}
		}
	}
	return strings.Join(lines, "\n")
}

// What each kind of session makes of the report on the recipients' domain, and of the mail.
func TestTLSReports(t *testing.T) {
	t.Parallel()
	good, roots := outboundtest.NewCertificate(t, "mx.to.test")
	bad, _ := outboundtest.NewCertificate(t, "mx.to.test")
	other, _ := outboundtest.NewCertificate(t, "mx.other.test")
	roots.AddCert(other.Certificates[0].Leaf)
	key := sha256.Sum256(good.Certificates[0].Leaf.RawSubjectPublicKeyInfo)
	tested := strings.Replace(enforced, "enforce", "testing", 1)
	const none, peer = "", ` from "127.0.0.1" at "mx.to.test" "peer.test"`
	for _, tt := range []struct {
		name     string
		config   *tls.Config
		policy   string
		tlsa     string
		edit     func(*guarded)
		sent     string
		want     string
		level    outbound.TLSLevel
		optional bool
	}{
		{name: "enforce", config: good, policy: enforced, sent: "TLS", want: "to.test: sts of to.test +1 -0"},
		{name: "enforce, bad certificate", config: bad, policy: enforced, sent: "4.7.5", want: "to.test: sts of to.test +0 -1 certificate-not-trusted" + peer},
		{name: "enforce, another name", config: other, policy: enforced, sent: "4.7.5", want: "to.test: sts of to.test +0 -1 certificate-host-mismatch" + peer},
		{name: "enforce, no TLS", policy: enforced, sent: "4.7.4", want: "to.test: sts of to.test +0 -1 starttls-not-supported" + peer},
		{name: "enforce, expired", config: good, policy: enforced, edit: func(g *guarded) { g.clock.pass(2 * time.Hour) }, sent: "4.7.5",
			want: "to.test: sts of to.test +0 -1 certificate-expired" + peer},
		{name: "enforce, other hosts", config: good, policy: strings.Replace(enforced, "*.to.test", "mx.other.test", 1), sent: "4.7.4",
			want: `to.test: sts of to.test +0 -1 validation-failure from "" at "" ""`},
		{name: "testing", config: good, policy: tested, sent: "TLS", want: "to.test: sts of to.test +1 -0"},
		{name: "testing, bad certificate", config: bad, policy: tested, sent: "TLS", want: "to.test: sts of to.test +0 -1 certificate-not-trusted" + peer},
		{name: "testing, no TLS", policy: tested, sent: "clear", want: "to.test: sts of to.test +0 -1 starttls-not-supported" + peer},
		{name: "testing, other hosts", config: good, policy: strings.Replace(tested, "*.to.test", "mx.other.test", 1), sent: "TLS",
			want: "to.test: sts of to.test +0 -1 validation-failure" + peer},
		{name: "policy none", config: bad, policy: "version: STSv1\nmode: none\nmax_age: 86400\n", sent: "TLS", want: "to.test: no-policy-found of to.test +1 -0"},
		{name: "no policy", config: bad, edit: func(g *guarded) { g.dns.Remove("_mta-sts.to.test.") }, sent: "TLS", want: "to.test: no-policy-found of to.test +1 -0"},
		{name: "no policy, no TLS", edit: func(g *guarded) { g.dns.Remove("_mta-sts.to.test.") }, sent: "clear",
			want: "to.test: no-policy-found of to.test +0 -1 starttls-not-supported" + peer},
		{name: "no policy host", config: good, edit: func(g *guarded) { g.host.err = errors.New("unreachable") }, sent: "TLS",
			want: "to.test: no-policy-found of to.test +0 -1 sts-policy-fetch-error" + peer},
		{name: "policy host not trusted", config: good, edit: func(g *guarded) {
			g.host.err = &tls.CertificateVerificationError{Err: errors.New("not trusted")}
		}, sent: "TLS", want: "to.test: no-policy-found of to.test +0 -1 sts-webpki-invalid" + peer},
		{name: "invalid policy", config: good, policy: "hello", sent: "TLS", want: "to.test: no-policy-found of to.test +0 -1 sts-policy-invalid" + peer},
		{name: "refused STARTTLS", config: good, policy: tested, edit: func(g *guarded) {
			g.peer.SetScript(outboundtest.Script{TLS: good, On: outboundtest.Answer(map[string]string{"STARTTLS": "454 4.7.0 not now"})})
		}, sent: "clear", want: "to.test: sts of to.test +0 -1 starttls-not-supported" + peer},
		{name: "broken TLS", policy: tested, edit: func(g *guarded) {
			g.peer.SetScript(outboundtest.Script{
				Extensions: []string{"STARTTLS"},
				On:         outboundtest.At(outboundtest.STARTTLS, outboundtest.Action{Reply: "220 go on\r\nno TLS at all, by any means\r\n", Drop: true}),
			})
		}, sent: "clear", want: "to.test: sts of to.test +0 -1 validation-failure" + peer},
		{name: "DANE", config: good, tlsa: "3 1 1 " + hex.EncodeToString(key[:]), level: outbound.TLSDANE, sent: "TLS", want: "to.test: tlsa of mx.to.test +1 -0"},
		{name: "DANE, another key", config: bad, tlsa: "3 1 1 " + hex.EncodeToString(key[:]), level: outbound.TLSDANE, sent: "4.7.5",
			want: "to.test: tlsa of mx.to.test +0 -1 validation-failure" + peer},
		{name: "DANE, not usable", config: good, tlsa: "1 1 1 " + hex.EncodeToString(key[:]), level: outbound.TLSDANE, sent: "TLS",
			want: "to.test: tlsa of mx.to.test +0 -1 tlsa-invalid" + peer},
		{name: "DANE, no answer", config: good, edit: func(g *guarded) {
			g.dns.Fail(g.tlsaName(), outboundtest.Fault{Rcode: dns.RcodeServerFailure, Secure: true})
		}, level: outbound.TLSDANE, sent: "4.7.4", want: `to.test: no-policy-found of to.test +0 -1 dnssec-invalid from "127.0.0.1" at "mx.to.test" ""`},
		{name: "whatever TLS", policy: enforced, optional: true, sent: "clear", want: none},
		{name: "whatever DANE", config: bad, tlsa: "3 1 1 " + hex.EncodeToString(key[:]), level: outbound.TLSDANE, optional: true, sent: "TLS", want: none},
		{name: "an operator's level", config: good, policy: tested, level: outbound.TLSVerify, sent: "TLS", want: none},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGuarded(t, tt.config, roots, tt.policy)
			if tt.tlsa != "" {
				g.dns.Add(g.tlsaName() + " 60 IN TLSA " + tt.tlsa)
			}
			g.dns.Fail("", outboundtest.Fault{Secure: tt.level == outbound.TLSDANE})
			if tt.edit != nil {
				tt.edit(g)
			}
			dir := t.TempDir()
			ledger, err := tlsrpt.NewLedger(dir, g.clock.time)
			if err != nil {
				t.Fatal(err)
			}
			tr := g.transportOf(t, func(o *outbound.Options) {
				o.TLSReports, o.DNS.Trusted, o.Routes[0].TLS = ledger, tt.level == outbound.TLSDANE, tt.level
			})
			if tt.optional {
				g.route = relay.TLSOptionalRoute(routeMX)
			}
			if got := g.send(t, tr); got != tt.sent {
				t.Errorf("sent: %s, want %s", got, tt.sent)
			}
			if got := tallied(t, ledger, dir); got != tt.want {
				t.Errorf("counted\n%s, want\n%s", got, tt.want)
			}
		})
	}
}

func (g *guarded) tlsaName() string { return fmt.Sprintf("_%d._tcp.mx.to.test.", g.peer.Port()) }

// A session is counted once for each domain whose mail it carries, under that domain's policy.
func TestTLSReportsOfSharedSession(t *testing.T) {
	t.Parallel()
	config, roots := outboundtest.NewCertificate(t, "mx.to.test")
	g := newGuarded(t, config, roots, strings.Replace(enforced, "enforce", "testing", 1))
	dir := t.TempDir()
	ledger, err := tlsrpt.NewLedger(dir, g.clock.time)
	if err != nil {
		t.Fatal(err)
	}
	tr := g.transportOf(t, func(o *outbound.Options) { o.TLSReports = ledger })
	c, err := tr.Dial(t.Context(), resolve(t, tr, relay.Destination{Route: routeMX, Domain: "to.test"}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, to := range []string{"a@to.test", "b@to.test", "a@b\u00fccher.test", "b@to.test"} {
		wantCodes(t, deliver(t, c, transfer("x\r\n", to)), "250")
	}
	want := "to.test: sts of to.test +1 -0\nxn--bcher-kva.test: no-policy-found of xn--bcher-kva.test +1 -0"
	if got := tallied(t, ledger, dir); got != want {
		t.Errorf("counted\n%s, want\n%s", got, want)
	}
}

// TLS that an operator asks for is not given up for what a message says (RFC 8689 section 5).
func TestNoTwinOfOperatorsTLS(t *testing.T) {
	t.Parallel()
	for level, want := range map[outbound.TLSLevel]bool{
		outbound.TLSMay: true, outbound.TLSDANE: true, outbound.TLSNone: false, outbound.TLSEncrypt: false, outbound.TLSVerify: false,
	} {
		g := newGuarded(t, nil, nil, "")
		tr := g.transportOf(t, func(o *outbound.Options) { o.Routes[0].TLS = level })
		_, err := tr.Resolve(t.Context(), relay.Destination{Route: relay.TLSOptionalRoute(routeMX), Domain: "to.test"})
		if got := err == nil; got != want {
			t.Errorf("%s: twin %t, want %t (%v)", level, got, want, err)
		}
	}
}

// Policies are renewed without mail, long before they end; those that have ended are removed, and
// nothing that stands is lost for want of an answer.
func TestMTASTSRun(t *testing.T) {
	t.Parallel()
	good, roots := outboundtest.NewCertificate(t, "mx.to.test")
	g := newGuarded(t, good, roots, enforced)
	if got := g.send(t, g.transport(t)); got != "TLS" {
		t.Fatalf("at first: %s", got)
	}
	requests := func() int {
		g.host.mu.Lock()
		defer g.host.mu.Unlock()
		return g.host.requests
	}
	// renew runs a Transport of a new process until it has asked the policy host once more.
	renew := func(tr *outbound.Transport, want int) {
		t.Helper()
		ended := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { ended <- tr.Run(ctx) }()
		g.host.wait(t, want)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	quick := func() *outbound.Transport {
		return g.transportOf(t, func(o *outbound.Options) { o.STSRefresh = time.Millisecond })
	}
	g.clock.pass(13 * time.Hour)
	renew(quick(), 2)
	g.host.setError(errors.New("unreachable"))
	g.clock.pass(13 * time.Hour)
	renew(quick(), 3)
	g.clock.pass(6 * 24 * time.Hour)
	g.peer.SetScript(outboundtest.Script{})
	if got := g.send(t, g.transport(t)); got != "4.7.4" {
		t.Errorf("after a week, renewed on the first day: %s, want it to stand", got)
	}
	if got := requests(); got != 4 {
		t.Errorf("%d requests, want 4", got)
	}
	g.clock.pass(2 * 24 * time.Hour)
	tr := quick()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- tr.Run(ctx) }()
	for { // until the file is gone; the test's deadline bounds it
		if entries, err := os.ReadDir(g.dir); err != nil || len(entries) == 0 {
			break
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// A name over what a file system takes has a policy on disk too.
func TestMTASTSLongDomain(t *testing.T) {
	t.Parallel()
	label := strings.Repeat("a", 61)
	domain := strings.Join([]string{label, label, label, strings.Repeat("b", 50), "test"}, ".")
	good, roots := outboundtest.NewCertificate(t, "mx.to.test")
	g := newGuarded(t, good, roots, "")
	policy := strings.Replace(enforced, "*.to.test", "mx.to.test", 1)
	g.host.policies["https://mta-sts."+domain+"/.well-known/mta-sts.txt"] = policy
	g.dns.Add(domain+". 60 IN MX 10 mx.to.test.", "_mta-sts."+domain+`. 60 IN TXT "v=STSv1; id=1;"`)
	tr := g.transport(t)
	resolve(t, tr, relay.Destination{Route: routeMX, Domain: domain})
	g.host.setError(errors.New("unreachable"))
	g.host.status = http.StatusNotFound
	site := resolve(t, g.transport(t), relay.Destination{Route: routeMX, Domain: domain})
	if !strings.Contains(site.Key, "tls=verify") {
		t.Errorf("after a start the site is %q", site.Key)
	}
}
