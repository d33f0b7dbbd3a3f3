package integration_test

import (
	"bytes"
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

// The ways in which the clients of the matrix connect, each a listener. On those with TLS a
// client in clear is refused, and on auth who has not authenticated.
var ways = []string{"plain", "starttls", "implicit", "auth"}

const clientsConfig = `hostname: relay.test
data: %[1]q
listen:
  - {name: local, address: "127.0.0.1:0", allow: ["127.0.0.0/8"]}
  - {name: plain, address: "127.0.0.1:0", allow: ["127.0.0.0/8"]}
  - {name: starttls, address: "127.0.0.1:0", allow: ["127.0.0.0/8"], tls: {cert: cert.pem, key: key.pem}}
  - {name: implicit, address: "127.0.0.1:0", allow: ["127.0.0.0/8"], tls: {cert: cert.pem, key: key.pem, mode: implicit}}
  - {name: auth, address: "127.0.0.1:0", auth: required, tls: {cert: cert.pem, key: key.pem}}
users: {file: users}
rules:
  - {name: in-clear, at: mail, when: 'listener != "plain" && listener != "local" && tls.version == ""', reject: "554 5.7.0 in clear"}
routes:
  - {name: next, hosts: [%[2]q]}
retry: {first: 1s, max: 5s}
admin: {socket: %[3]q}
`

// bcrypt of "secret", of the least cost.
const annsLine = "ann:$2a$04$eiIOrCpOS7UKLHCYvHQ7iuPtfF1zi8ErV9GEMRJ1G3HT2pLcVAixC\n"

// call is one client's turn: it sends one message from its sender.
type call struct {
	t            *testing.T
	ctx          context.Context
	way, addr    string
	from, to, ca string
	// message is a file with the text.
	message string
}

func (c *call) host() string { return "localhost" }

func (c *call) port() string {
	_, port, _ := net.SplitHostPort(c.addr)
	return port
}

// run runs a program that must succeed.
func (c *call) run(name string, args ...string) {
	c.t.Helper()
	needs(c.t, name)
	text, err := os.ReadFile(c.message)
	if err != nil {
		c.t.Fatal(err)
	}
	cmd := exec.CommandContext(c.ctx, name, args...)
	cmd.Stdin = bytes.NewReader(text)
	cmd.Env = append(os.Environ(), "NODE_PATH="+nodePath(c.ctx))
	if out, err := cmd.CombinedOutput(); err != nil {
		c.t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// What the clients send as the text of their messages: what is in the file, and what those that
// compose their messages themselves are given.
const (
	fileBody     = "One.\r\n.\r\n..two\r\n"
	composedBody = "one\r\n.\r\n..two\r\n"
)

// clients are programs as they come, each with no more options than what it takes to
// name the server, its authority, and the user, and with the body that must arrive. Some end it with
// empty lines of their own.
var clients = []struct {
	name string
	send func(*call)
	body string
}{
	{"postfix", sendPostfix, "Text of the message.\r\n"}, {"exim", sendExim, fileBody}, {"swaks", sendSwaks, "hello\r\n.\r\nthere\r\n\r\n\r\n"},
	{"msmtp", sendMsmtp, fileBody}, {"python", sendPython, fileBody}, {"nodemailer", sendNodemailer, composedBody},
	{"phpmailer", sendPHPMailer, composedBody + "\r\n"}, {"net-smtp", sendNetSMTP, fileBody}, {"curl", sendCurl, fileBody},
	{"javamail", nil, composedBody}, // all ways at once
}

// TestClients is the matrix of real clients: each gets its message in, in every way, and
// it arrives behind us, as it was sent and once.
func TestClients(t *testing.T) {
	t.Parallel()
	ctx := within(t, 10*time.Minute) // each way has a minute of its own, once it is its turn
	arrived := folder(t)
	sink := newSink(t, ctx, "127.0.0.1:0", "--dir", arrived)
	relay := newRelay(t, "")
	dir := filepath.Dir(relay.Config)
	ca := writeHousehold(t, dir)
	text := fmt.Sprintf(clientsConfig, filepath.Join(dir, "data"), sink.Addr(), filepath.Join(dir, "admin.sock"))
	write(t, relay.Config, text)
	start(t, ctx, relay)
	t.Cleanup(func() { checkClients(t, relay, sink, arrived) }) // when all clients are done
	t.Run("load/starttls", func(t *testing.T) {
		t.Parallel()
		ctx := within(t, time.Minute)
		_, ids := runLoad(t, ctx, relay.AddrOf("starttls"), 50, "--tls")
		awaitAll(t, ctx, sink, ids)
	})
	t.Run("javamail", func(t *testing.T) {
		t.Parallel()
		sendJavaMail(t, within(t, time.Minute), relay, sink, ca)
	})
	message := filepath.Join(dir, "message")
	write(t, message, "From: a@example.com\r\nTo: b@example.net\r\nSubject: matrix\r\n\r\n"+fileBody)
	for _, client := range clients {
		if client.send == nil {
			continue
		}
		for _, way := range ways {
			t.Run(client.name+"/"+way, func(t *testing.T) {
				t.Parallel()
				ctx := within(t, time.Minute)
				c := &call{
					t: t, ctx: ctx, way: way, addr: relay.AddrOf(way), ca: ca, message: message,
					from: client.name + "." + way + "@example.com", to: "b@example.net",
				}
				client.send(c)
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

// checkClients looks at all that has arrived when no more can: of each client and way one message,
// with the body that was sent. That it arrived at all, its own test has seen.
func checkClients(t *testing.T, relay *integration.Relay, sink *integration.Sink, dir string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // the test's own has ended
	defer cancel()
	awaitEmpty(t, ctx, relay)
	settled(t, ctx, relay, sink)
	if _, err := sink.Summary(); err != nil {
		t.Error(err)
	}
	for id, all := range arrivals(sink.Received()) {
		if len(all) != 1 || all[0].Damaged {
			t.Errorf("message %s of the load arrived %d times, damaged: %t", id, len(all), all[0].Damaged)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.eml"))
	if err != nil || len(files) != len(sink.Received()) {
		t.Fatalf("%d files for %d messages: %v", len(files), len(sink.Received()), err)
	}
	times := map[string]int{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		header, body, _ := strings.Cut(string(text), "\r\n\r\n")
		from, _, _ := strings.Cut(strings.TrimPrefix(header, "X-Envelope-From: <"), ">")
		want, known := clientsBody(from)
		switch times[from]++; {
		case !known: // the load's
		case times[from] > 1:
			t.Errorf("the message of %s arrived %d times", from, times[from])
		case body != want:
			t.Errorf("the message of %s has the body %q, want %q", from, body, want)
		}
	}
}

// clientsBody is what the sender's message says.
func clientsBody(from string) (string, bool) {
	for _, client := range clients {
		for _, way := range ways {
			if from == client.name+"."+way+"@example.com" {
				return client.body, true
			}
		}
	}
	return "", false
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// writeHousehold writes the users and a certificate for localhost, which is its own authority.
func writeHousehold(t *testing.T, dir string) string {
	t.Helper()
	ca, _, err := integration.WriteCertificate(dir)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "users"), annsLine)
	return ca
}

// sendPostfix has a Postfix as it comes use us as its relayhost.
func sendPostfix(c *call) {
	extra := map[string]string{
		"plain":    "",
		"starttls": "smtp_tls_security_level = encrypt\n",
		"implicit": "smtp_tls_security_level = encrypt\nsmtp_tls_wrappermode = yes\n",
		"auth": "smtp_tls_security_level = encrypt\nsmtp_sasl_auth_enable = yes\nsmtp_sasl_security_options = noanonymous\n" +
			"smtp_sasl_password_maps = inline:{{[127.0.0.1]:" + c.port() + " = ann:secret}}\n",
	}[c.way]
	p := newPostfix(c.t, c.ctx, c.addr, extra)
	if err := send(p.Addr(), c.from, c.to); err != nil {
		c.t.Fatal(err)
	}
}

const eximConfig = `primary_hostname = exim.test
exim_path = %[4]s
spool_directory = %[1]s/exim
log_file_path = %[1]s/exim-%%slog
keep_environment =
never_users =
begin routers
all:
  driver = manualroute
  route_list = * 127.0.0.1
  self = send
  transport = out
begin transports
out:
  driver = smtp
  allow_localhost
  port = %[2]s
  %[3]s
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^ann^secret
`

// sendExim has an Exim deliver at once, with us as its smart host.
func sendExim(c *call) {
	needs(c.t, "exim4")
	if os.Getuid() != 0 {
		missing(c.t, "Exim starts only as root")
	}
	option := map[string]string{
		"plain": "hosts_avoid_tls = *", "starttls": "hosts_require_tls = *\n  hosts_try_auth =",
		"implicit": "protocol = smtps", "auth": "hosts_require_tls = *\n  hosts_require_auth = *",
	}[c.way] + "\n  tls_verify_certificates = " + c.ca
	dir := folder(c.t)
	path, err := exec.LookPath("exim4")
	if err != nil {
		c.t.Fatal(err)
	}
	if out, err := exec.CommandContext(c.ctx, "chown", "Debian-exim", dir).CombinedOutput(); err != nil {
		c.t.Fatalf("chown: %v: %s", err, out)
	}
	config := filepath.Join(dir, "exim.conf")
	write(c.t, config, fmt.Sprintf(eximConfig, dir, c.port(), option, path))
	c.t.Cleanup(func() {
		if log, err := os.ReadFile(filepath.Join(dir, "exim-mainlog")); c.t.Failed() && err == nil {
			c.t.Logf("Exim's log:\n%s", log)
		}
	})
	c.run("exim4", "-C", config, "-odf", "-i", "-f", c.from, c.to)
}

func sendSwaks(c *call) {
	args := []string{"--server", "127.0.0.1", "--port", c.port(), "--from", c.from, "--to", c.to, "--body", "hello\n.\nthere"}
	switch c.way {
	case "starttls":
		args = append(args, "--tls")
	case "implicit":
		args = append(args, "--tls-on-connect")
	case "auth":
		args = append(args, "--tls", "--auth", "LOGIN", "--auth-user", "ann", "--auth-password", "secret")
	}
	c.run("swaks", args...)
}

func sendMsmtp(c *call) {
	args := []string{"--file=/dev/null", "--host=" + c.host(), "--port=" + c.port(), "--from=" + c.from, "--tls-trust-file=" + c.ca}
	switch c.way {
	case "starttls":
		args = append(args, "--tls=on")
	case "implicit":
		args = append(args, "--tls=on", "--tls-starttls=off")
	case "auth": // it takes the best that is offered
		args = append(args, "--tls=on", "--auth=on", "--user=ann", "--passwordeval=echo secret")
	}
	c.run("msmtp", append(args, c.to)...)
}

const pythonClient = `
import smtplib, ssl, sys
way, host, port, ca, sender, to = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
if way == "implicit":
    server = smtplib.SMTP_SSL(host, int(port), context=context)
else:
    server = smtplib.SMTP(host, int(port))
if way in ("starttls", "auth"):
    server.starttls(context=context)
if way == "auth":
    server.login("ann", "secret")
server.sendmail(sender, [to], sys.stdin.buffer.read())
server.quit()
`

func sendPython(c *call) {
	c.run("python3", "-c", pythonClient, c.way, c.host(), c.port(), c.ca, c.from, c.to)
}

const nodeClient = `
const [way, host, port, ca, from, to] = process.argv.slice(1);
const transport = require("nodemailer").createTransport({
  host, port, secure: way === "implicit", requireTLS: way === "starttls" || way === "auth",
  ignoreTLS: way === "plain", tls: {ca: require("fs").readFileSync(ca)},
  auth: way === "auth" ? {user: "ann", pass: "secret"} : undefined,
});
transport.sendMail({from, to, subject: "matrix", text: "one\n.\n..two"}).catch(err => { console.error(err); process.exit(1); });
`

// nodePath is where npm installs what every program may use.
func nodePath(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "npm", "root", "-g").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func sendNodemailer(c *call) {
	needs(c.t, "node")
	if _, err := os.Stat(filepath.Join(nodePath(c.ctx), "nodemailer")); err != nil {
		missing(c.t, "nodemailer is not installed: npm install -g nodemailer")
	}
	c.run("node", "-e", nodeClient, c.way, c.host(), c.port(), c.ca, c.from, c.to)
}

// phpMailer is where Debian has it.
const phpMailer = "/usr/share/php/libphp-phpmailer/autoload.php"

const phpClient = `
[, $way, $host, $port, $ca, $from, $to] = $argv;
require "` + phpMailer + `";
$mail = new PHPMailer\PHPMailer\PHPMailer(true);
$mail->isSMTP();
$mail->Host = $host;
$mail->Port = (int)$port;
$mail->SMTPSecure = ["plain" => "", "starttls" => "tls", "implicit" => "ssl", "auth" => "tls"][$way];
$mail->SMTPOptions = ["ssl" => ["cafile" => $ca]];
if ($way === "auth") {
  $mail->SMTPAuth = true;
  $mail->Username = "ann";
  $mail->Password = "secret";
}
$mail->setFrom($from);
$mail->addAddress($to);
$mail->Subject = "matrix";
$mail->Body = "one\n.\n..two";
$mail->send();
`

func sendPHPMailer(c *call) {
	needs(c.t, "php")
	if _, err := os.Stat(phpMailer); err != nil {
		missing(c.t, "PHPMailer is not installed: apt-get install libphp-phpmailer")
	}
	c.run("php", "-r", phpClient, "--", c.way, c.host(), c.port(), c.ca, c.from, c.to)
}

func sendNetSMTP(c *call) {
	if err := netSMTP(c); err != nil {
		c.t.Fatal(err)
	}
}

func netSMTP(c *call) error {
	text, err := os.ReadFile(c.message)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	pem, err := os.ReadFile(c.ca)
	if err != nil {
		return err
	}
	roots.AppendCertsFromPEM(pem)
	config := &tls.Config{RootCAs: roots, ServerName: c.host()}
	conn, err := net.Dial("tcp", c.addr)
	if err != nil {
		return err
	}
	if c.way == "implicit" {
		conn = tls.Client(conn, config)
	}
	s, err := smtp.NewClient(conn, c.host())
	if err != nil {
		return err
	}
	defer s.Close()
	if c.way == "starttls" || c.way == "auth" {
		if err := s.StartTLS(config); err != nil {
			return err
		}
	}
	if c.way == "auth" {
		if err := s.Auth(smtp.PlainAuth("", "ann", "secret", c.host())); err != nil {
			return err
		}
	}
	return deliverOn(s, c.from, c.to, text)
}

func deliverOn(s *smtp.Client, from, to string, text []byte) error {
	if err := s.Mail(from); err != nil {
		return err
	}
	if err := s.Rcpt(to); err != nil {
		return err
	}
	w, err := s.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return s.Quit()
}

func sendCurl(c *call) {
	scheme := "smtp"
	args := []string{"--silent", "--show-error", "--cacert", c.ca, "--mail-from", c.from, "--mail-rcpt", c.to, "--upload-file", c.message}
	switch c.way {
	case "starttls":
		args = append(args, "--ssl-reqd")
	case "implicit":
		scheme = "smtps"
	case "auth": // it takes the best that is offered
		args = append(args, "--ssl-reqd", "--user", "ann:secret")
	}
	c.run("curl", append(args, scheme+"://"+c.host()+":"+c.port())...)
}
