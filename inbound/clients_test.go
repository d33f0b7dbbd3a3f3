package inbound_test

import (
	"net/smtp"
	"os"
	"os/exec"
	"strings"
	"testing"

	gosmtp "github.com/emersion/go-smtp"

	"postrider/inbound"
	"postrider/relay"
)

// TestNetSMTP sends with the standard library's client: STARTTLS, then AUTH.
func TestNetSMTP(t *testing.T) {
	t.Parallel()
	h, config := withTLS(t, inbound.TLSStartTLS)
	h.options.Listeners[0].Auth = inbound.AuthRequired
	c, err := smtp.Dial(h.open().run().addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.StartTLS(config); err != nil {
		t.Fatal(err)
	}
	if err := c.Auth(smtp.PlainAuth("", "bob", "secret", "127.0.0.1")); err != nil {
		t.Fatal(err)
	}
	if err := c.Mail("bob@example.com"); err != nil {
		t.Fatal(err)
	}
	if err := c.Rcpt("b@example.org"); err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("Subject: x\r\n\r\n.dot\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Quit(); err != nil {
		t.Fatal(err)
	}
	if m := h.spool.all()[0]; m.body != ".dot\r\n" || m.Origin.User != "bob" || m.Origin.Protocol != "ESMTPSA" {
		t.Errorf("arrived as %q from %+v", m.body, m.Origin)
	}
}

// program runs a client program, where it is installed.
func program(t *testing.T, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("POSTRIDER_REQUIRE_PEERS") == "1" {
		t.Fatalf("%s is not installed, and POSTRIDER_REQUIRE_PEERS=1", name)
	}
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

func TestSwaks(t *testing.T) {
	t.Parallel()
	h := withUsers(t, inbound.AuthRequired).open().run()
	program(t, "swaks", "--server", h.addr(), "--from", "a@example.com", "--to", "b@example.org,c@example.org",
		"--auth", "LOGIN", "--auth-user", "ann", "--auth-password", "secret", "--body", "hello\n.\nthere")
	if m := h.spool.all()[0]; !strings.Contains(m.body, "hello\r\n.\r\nthere\r\n") || len(m.Envelope.Recipients) != 2 || m.Origin.Protocol != "ESMTPA" {
		t.Errorf("arrived as %q in %+v from %+v", m.body, m.Envelope, m.Origin)
	}
}

func TestSMTPSource(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		args []string
		want int
	}{
		{"one session", []string{"-m", "50"}, 50},
		{"reconnecting", []string{"-m", "50", "-s", "5", "-d"}, 50},
		{"large", []string{"-m", "4", "-s", "2", "-l", "1000000"}, 4},
		{"recipients", []string{"-m", "4", "-r", "500"}, 4},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t).open().run()
			program(t, "smtp-source", append(test.args, "-f", "a@example.com", "-t", "b@example.org", h.addr())...)
			if got := len(h.spool.all()); got != test.want {
				t.Errorf("%d messages, want %d", got, test.want)
			}
		})
	}
}

// TestGoSMTP sends with go-smtp's client, which most programs in Go use: STARTTLS, DSN
// parameters.
func TestGoSMTP(t *testing.T) {
	t.Parallel()
	h, config := withTLS(t, inbound.TLSStartTLS)
	c, err := gosmtp.DialStartTLS(h.open().run().addr(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Mail("a@example.com", &gosmtp.MailOptions{Size: 20, Return: gosmtp.DSNReturnHeaders, EnvelopeID: "x+y=z"}); err != nil {
		t.Fatal(err)
	}
	if err := c.Rcpt("b@example.org", &gosmtp.RcptOptions{Notify: []gosmtp.DSNNotify{gosmtp.DSNNotifyDelayed, gosmtp.DSNNotifyFailure}}); err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("Subject: x\r\n\r\n.dot\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Quit(); err != nil {
		t.Fatal(err)
	}
	m := h.spool.all()[0]
	if e := m.Envelope; m.body != ".dot\r\n" || e.Return != relay.ReturnHeaders || e.EnvelopeID != "x+y=z" || e.Recipients[0].Notify != relay.NotifyDelay|relay.NotifyFailure {
		t.Errorf("arrived as %q, %+v", m.body, m.Envelope)
	}
}
