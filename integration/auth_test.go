package integration_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"postrider/integration"
)

const authConfig = `hostname: relay.test
data: %[1]q
listen:
  - {name: local, address: "127.0.0.1:0", auth: required}
  - {name: starttls, address: "127.0.0.1:0", auth: required, auth_insecure: never, tls: {cert: cert.pem, key: key.pem}}
  - {name: implicit, address: "127.0.0.1:0", auth: required, tls: {cert: cert.pem, key: key.pem, mode: implicit}}
users: {file: users}
limits: {auth_failures: off}
routes:
  - {name: next, hosts: [%[2]q]}
admin: {socket: %[3]q}
`

// userCommand runs postrider user with the relay's users file and an input.
func userCommand(t *testing.T, ctx context.Context, r *integration.Relay, input string, args ...string) {
	t.Helper()
	file := filepath.Join(filepath.Dir(r.Config), "users")
	cmd := exec.CommandContext(ctx, r.Binary, append(append([]string{"user"}, args...), "--file", file)...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("postrider user %q: %v: %s", args, err, out)
	}
}

// newAuthRelay is a relay whose only user is ann, with a SCRAM secret.
func newAuthRelay(t *testing.T, ctx context.Context) (r *integration.Relay, sink *integration.Sink, ca string) {
	t.Helper()
	sink = newSink(t, ctx, "127.0.0.1:0")
	r = newRelay(t, "")
	dir := filepath.Dir(r.Config)
	ca = writeHousehold(t, dir)
	if err := os.Remove(filepath.Join(dir, "users")); err != nil {
		t.Fatal(err)
	}
	userCommand(t, ctx, r, "secret\n", "add", "ann", "--scram")
	write(t, r.Config, fmt.Sprintf(authConfig, filepath.Join(dir, "data"), sink.Addr(), filepath.Join(dir, "admin.sock")))
	start(t, ctx, r)
	return r, sink, ca
}

const pythonAuthClient = `
import smtplib, ssl, sys
way, host, port, ca, sender, to, mechanism = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
if way == "implicit":
    server = smtplib.SMTP_SSL(host, int(port), context=context)
else:
    server = smtplib.SMTP(host, int(port))
    server.starttls(context=context)
server.ehlo()
server.user, server.password = "ann", "secret"
server.auth(mechanism, getattr(server, "auth_" + mechanism.lower()))
server.sendmail(sender, [to], sys.stdin.buffer.read())
`

// sendAuth has a client send as ann by a mechanism.
func sendAuth(c *call, client, mechanism string) {
	switch client {
	case "swaks":
		tls := map[string]string{"starttls": "--tls", "implicit": "--tls-on-connect"}[c.way]
		c.run("swaks", "--server", c.addr, tls, "--from", c.from, "--to", c.to, "--auth", mechanism,
			"--auth-user", "ann", "--auth-password", "secret", "--data", "@"+c.message, "--silent", "2")
	case "msmtp":
		c.run("msmtp", "--file=/dev/null", "--host="+c.host(), "--port="+c.port(), "--from="+c.from, "--tls-trust-file="+c.ca, "--tls=on",
			"--tls-starttls="+map[string]string{"starttls": "on", "implicit": "off"}[c.way],
			"--auth="+strings.ToLower(mechanism), "--user=ann", "--passwordeval=echo secret", c.to)
	case "python":
		c.run("python3", "-c", pythonAuthClient, c.way, c.host(), c.port(), c.ca, c.from, c.to, mechanism)
	case "curl":
		scheme := map[string]string{"starttls": "smtp://", "implicit": "smtps://"}[c.way]
		c.run("curl", "--silent", "--show-error", "--ssl-reqd", "--cacert", c.ca, "--url", scheme+net.JoinHostPort(c.host(), c.port()),
			"--login-options", "AUTH="+mechanism, "--user", "ann:secret", "--mail-from", c.from, "--mail-rcpt", c.to, "--upload-file", c.message)
	case "postfix":
		extra := "smtp_tls_security_level = encrypt\nsmtp_sasl_auth_enable = yes\nsmtp_sasl_security_options = noanonymous\n" +
			"smtp_sasl_mechanism_filter = " + strings.ToLower(mechanism) + "\n" +
			"smtp_sasl_password_maps = inline:{{[127.0.0.1]:" + c.port() + " = ann:secret}}\n"
		if c.way == "implicit" {
			extra += "smtp_tls_wrappermode = yes\n"
		}
		if err := send(newPostfix(c.t, c.ctx, c.addr, extra).Addr(), c.from, c.to); err != nil {
			c.t.Fatal(err)
		}
	}
}

// TestAuthClients has real clients authenticate by each mechanism that they have.
func TestAuthClients(t *testing.T) {
	t.Parallel()
	ctx := within(t, 3*time.Minute)
	relay, sink, ca := newAuthRelay(t, ctx)
	message := filepath.Join(filepath.Dir(relay.Config), "message")
	write(t, message, "From: a@example.com\r\nTo: b@example.net\r\nSubject: auth\r\n\r\nOne.\r\n")
	for client, mechanisms := range map[string][]string{
		"swaks": {"PLAIN", "LOGIN"}, "python": {"PLAIN", "LOGIN"}, "curl": {"PLAIN", "LOGIN"},
		"msmtp": {"PLAIN", "LOGIN", "SCRAM-SHA-256"}, "postfix": {"SCRAM-SHA-256"},
	} {
		for _, mechanism := range mechanisms {
			for _, way := range []string{"starttls", "implicit"} {
				t.Run(client+"/"+mechanism+"/"+way, func(t *testing.T) {
					t.Parallel()
					ctx := within(t, time.Minute)
					c := &call{
						t: t, ctx: ctx, way: way, addr: relay.AddrOf(way), ca: ca, message: message,
						from: strings.ToLower(client+"."+mechanism+"."+way) + "@example.com", to: "b@example.net",
					}
					sendAuth(c, client, mechanism)
					arrived := func(all []integration.Received) bool {
						return slices.ContainsFunc(all, func(m integration.Received) bool { return m.From == c.from })
					}
					if err := sink.Await(ctx, "the message of "+c.from, arrived); err != nil {
						t.Fatal(err)
					}
				})
			}
		}
	}
}

// TestUsersLive changes the users of a running relay: each change holds at the next AUTH, and
// a file that does not make sense changes nothing.
func TestUsersLive(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	relay, _, ca := newAuthRelay(t, ctx)
	text, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	try := func(password, want string) {
		t.Helper()
		err := login(relay.AddrOf("starttls"), &tls.Config{RootCAs: roots, ServerName: "localhost"}, password)
		if got := fmt.Sprint(err); !strings.HasPrefix(got, want) {
			t.Errorf("password %s: got %s, want %s", password, got, want)
		}
	}
	const in, out = "<nil>", `535 "5.7.8`
	try("secret", in)
	try("wrong", out)
	userCommand(t, ctx, relay, "another", "add", "ann", "--replace", "--argon2id")
	try("secret", out)
	try("another", in)
	users := filepath.Join(filepath.Dir(relay.Config), "users")
	write(t, users+".new", "ann:no hash")
	if err := os.Rename(users+".new", users); err != nil {
		t.Fatal(err)
	}
	try("another", in)
	if err := os.Remove(users); err != nil {
		t.Fatal(err)
	}
	userCommand(t, ctx, relay, "x", "add", "bob")
	try("another", out)
	faults := 0
	for _, line := range relay.Lines() {
		if strings.Contains(line, `"fault"`) && strings.Contains(line, "users") {
			faults++
		}
	}
	if faults != 1 {
		t.Errorf("%d faults in the log, want one: %q", faults, relay.Lines())
	}
}

// login authenticates as ann.
func login(addr string, config *tls.Config, password string) error {
	client, err := smtp.Dial(addr)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.StartTLS(config); err != nil {
		return err
	}
	return client.Auth(smtp.PlainAuth("", "ann", password, "127.0.0.1"))
}
