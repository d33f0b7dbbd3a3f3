package integration_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net"
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

// opendkim runs OpenDKIM as a milter that signs for example.com, and gives its address and what is
// published of its key. Canonical is the canonicalization that it signs with.
func opendkim(t *testing.T, canonical string) (address, published string) {
	t.Helper()
	needs(t, "opendkim")
	dir := t.TempDir()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	published = filepath.Join(dir, "dns")
	port, err := integration.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "conf")
	for name, text := range map[string]string{
		filepath.Join(dir, "key"): string(private),
		published:                 "s1._domainkey.example.com v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(public) + "\n",
		conf: fmt.Sprintf("Mode s\nDomain example.com\nSelector s1\nKeyFile %s\nSocket inet:%d@127.0.0.1\nBackground no\nCanonicalization %s\nRequireSafeKeys no\n",
			filepath.Join(dir, "key"), port, canonical),
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := integration.Start(exec.Command("opendkim", "-f", "-x", conf), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	address = fmt.Sprintf("127.0.0.1:%d", port)
	awaitListening(t, p, "tcp", address)
	return address, published
}

// awaitListening returns when a process takes connections.
func awaitListening(t *testing.T, p *integration.Process, network, address string) {
	t.Helper()
	for range 400 {
		conn, err := net.Dial(network, address)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-p.Done():
			t.Fatalf("it ended: %q", p.Lines())
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatalf("it does not answer: %q", p.Lines())
}

// OpenDKIM signs as a milter: the body that it was shown is, byte for byte, the one that goes out, and
// the signature that it asks for is in the header. When it is gone the mail waits at the client.
func TestMilterOpenDKIM(t *testing.T) {
	t.Parallel()
	address, published := opendkim(t, "relaxed/simple")
	ctx := within(t, time.Minute)
	peer := outboundtest.NewPeer(t, outboundtest.Script{})
	relay := newRelay(t, smartHost(peer.Addr())+"rules:\n  - {name: later, at: data, when: 'header(\"DKIM-Signature\") != \"\"', set_header: [\"X-Rule: after the milter\"]}\n")
	rewrite(t, relay, `allow: ["127.0.0.0/8"]}`, fmt.Sprintf(`allow: ["127.0.0.0/8"], milters: [{name: opendkim, address: %q}]}`, address))
	start(t, ctx, relay)
	if err := smtp.SendMail(relay.Addr(), nil, "ann@example.com", []string{"b@example.net"}, []byte(oddLines())); err != nil {
		t.Fatal(err)
	}
	awaitCount(t, ctx, peer, 1)
	content := peer.Messages()[0].Body
	if !strings.Contains(string(content), "X-Rule: after the milter") {
		t.Errorf("the rules did not see what the milter did:\n%s", content)
	}
	dir := t.TempDir()
	conf, message := filepath.Join(dir, "conf"), filepath.Join(dir, "message")
	for name, text := range map[string]string{conf: "Mode v\nTestDNSData file:" + published + "\n", message: string(content)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(ctx, "opendkim", "-x", conf, "-t", message, "-vv").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "dkim=pass") {
		t.Errorf("%v: %s\n%s", err, out, content)
	}

	rewrite(t, relay, address, dead(t))
	ask(t, ctx, relay, "listen[local].milters[opendkim].address", "reload")
	if err := send(relay.Addr(), "ann@example.com", "b@example.net"); err == nil || !strings.HasPrefix(err.Error(), "451 ") {
		t.Errorf("without the milter: %v, want 451", err)
	}
	rewrite(t, relay, "milters: [{name: opendkim,", "milters: [{name: opendkim, failure: accept,")
	ask(t, ctx, relay, "listen[local].milters[opendkim].failure", "reload")
	if err := send(relay.Addr(), "ann@example.com", "b@example.net"); err != nil {
		t.Errorf("with failure: accept: %v", err)
	}
}

// With simple canonicalization a space more or less behind a colon or at a fold breaks the signature:
// what the milter is shown of the header is what goes out, byte for byte. The verifier is dkimpy, since
// opendkim -t does not keep these spaces itself.
func TestMilterSimple(t *testing.T) {
	t.Parallel()
	if exec.Command("/usr/bin/python3", "-c", "import dkim").Run() != nil {
		missing(t, "python3-dkim is not installed")
	}
	address, published := opendkim(t, "simple/simple")
	ctx := within(t, time.Minute)
	peer := outboundtest.NewPeer(t, outboundtest.Script{})
	relay := newRelay(t, smartHost(peer.Addr()))
	rewrite(t, relay, `allow: ["127.0.0.0/8"]}`, fmt.Sprintf(`allow: ["127.0.0.0/8"], milters: [{name: opendkim, address: %q}]}`, address))
	start(t, ctx, relay)
	if err := smtp.SendMail(relay.Addr(), nil, "ann@example.com", []string{"b@example.net"}, []byte(oddLines())); err != nil {
		t.Fatal(err)
	}
	awaitCount(t, ctx, peer, 1)
	content := peer.Messages()[0].Body
	message := filepath.Join(t.TempDir(), "message")
	verify := func(content []byte) string {
		if err := os.WriteFile(message, content, 0o600); err != nil {
			t.Fatal(err)
		}
		const script = `import sys, dkim
record = open(sys.argv[1]).read().split(' ', 1)[1].strip().encode()
print(dkim.verify(open(sys.argv[2], 'rb').read(), dnsfunc=lambda name, timeout=5: record))`
		out, err := exec.CommandContext(ctx, "/usr/bin/python3", "-c", script, published, message).CombinedOutput()
		if err != nil {
			t.Fatalf("dkimpy: %v: %s", err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if got := verify(content); got != "True" {
		t.Errorf("dkimpy says %s of\n%s", got, content)
	}
	if got := verify(bytes.Replace(content, []byte("Subject:  "), []byte("Subject: "), 1)); got != "False" {
		t.Errorf("dkimpy says %s when a space is missing", got)
	}
}
