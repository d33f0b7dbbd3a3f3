package inbound_test

import (
	"crypto/tls"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postrider/inbound"
)

// served is the first name of the certificate that a client is shown.
func (h *house) served(config *tls.Config) string {
	h.t.Helper()
	conn, err := tls.Dial("tcp", h.addr(), config)
	if err != nil {
		h.t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].DNSNames[0]
}

func TestSNI(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	h := newHouse(t)
	h.options.Listeners[0].TLS = inbound.TLSOptions{
		Certificates: []inbound.Certificate{a.issue("one", "", "one.example"), a.issue("two", "", "two.example", "*.two.example")},
		Mode:         inbound.TLSImplicit,
	}
	h.open().run()
	for asked, want := range map[string]string{
		"one.example": "one.example", "two.example": "two.example", "mx.two.example": "two.example", "": "one.example", "three.example": "one.example",
	} {
		config := a.trust(asked)
		config.InsecureSkipVerify = want != asked // what is served is looked at, not whether it fits
		if got := h.served(config); got != want {
			t.Errorf("who asks for %q is shown %s, want %s", asked, got, want)
		}
	}
}

// TestReload changes the files under a session: it goes on, and the next one is shown what
// is there then. Files that cannot be read change nothing.
func TestReload(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	h := newHouse(t)
	var ahead atomic.Int64
	h.options.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	pair := a.issue("cert", "", "old.example")
	h.options.Listeners[0].TLS = inbound.TLSOptions{Certificates: []inbound.Certificate{pair}, Mode: inbound.TLSImplicit}
	h.open().run()
	look := func(want string) {
		t.Helper()
		ahead.Add(int64(2 * time.Second))
		if got := h.served(&tls.Config{InsecureSkipVerify: true}); got != want {
			t.Errorf("shown %s, want %s", got, want)
		}
	}
	conn, err := tls.Dial("tcp", h.addr(), a.trust("old.example"))
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, conn)
	c.codes("220")
	look("old.example")

	a.issue("cert", "", "asked.example.org")
	if err := h.server.Reload(); err != nil { // without waiting for a look at the files
		t.Fatal(err)
	}
	if got := h.served(&tls.Config{InsecureSkipVerify: true}); got != "asked.example.org" {
		t.Errorf("shown %s after Reload", got)
	}
	a.issue("cert", "", "new.example.net")
	look("new.example.net")
	c.talk("C: NOOP\nS: 250 2.0.0 Ok")

	h.spool.excuse()
	write(t, pair.CertFile, "half a certif")
	look("new.example.net")
	if err := h.server.Reload(); err == nil {
		t.Error("Reload takes half a certificate")
	}
	look("new.example.net")
	if err := os.Remove(pair.KeyFile); err != nil {
		t.Fatal(err)
	}
	h.spool.excuse()
	look("new.example.net")
	if n := len(h.observer.AllFaults()); n != 2 {
		t.Errorf("%d faults, want one for each change", n)
	}
}

func TestClientCertificates(t *testing.T) {
	t.Parallel()
	ours, theirs := newAuthority(t), newAuthority(t)
	h := newHouse(t)
	h.options.Listeners[0].TLS = inbound.TLSOptions{
		Certificates: []inbound.Certificate{ours.issue("localhost", "", "localhost")}, ClientCA: ours.file(), Mode: inbound.TLSStartTLS,
		ClientSubjects: []string{"printer 7", "app.example", "CN=whole name"},
	}
	h.options.Listeners[0].Auth = inbound.AuthRequired
	h.options.Users.File = usersFile(t)
	h.open().run()
	for _, test := range []struct {
		name string
		pair *inbound.Certificate
		from *authority
		user string
	}{
		{"common name", new(ours.issue("c1", "printer 7")), ours, "printer 7"},
		{"distinguished name", new(ours.issue("c6", "whole name")), ours, "whole name"},
		{"host name", new(ours.issue("c2", "", "app.example")), ours, "app.example"},
		{"not among the subjects", new(ours.issue("c4", "printer 8")), ours, ""},
		{"no name of a user", new(ours.issue("c5", "ann\r\nX: y", "app.example")), ours, ""},
		{"another authority's", new(theirs.issue("c3", "printer 7")), theirs, ""},
		{"none", nil, nil, ""},
	} {
		config := ours.trust("localhost")
		if test.pair != nil {
			pair := test.from.load(*test.pair)
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
		c := h.greeted()
		c.talk("C: STARTTLS\nS: 220 2.0.0 Ready to start TLS")
		c.startTLS(config)
		c.send("EHLO client.example\r\n")
		c.ehlo()
		if test.user == "" {
			c.talk("C: MAIL FROM:<a@example.com>\nS: 530 5.7.0 Authentication required")
			continue
		}
		c.talk("C: MAIL FROM:<a@example.com>\nS: 250 2.1.0 Ok\nC: RCPT TO:<b@example.org>\nS: 250 2.1.5 Ok\nC: BDAT 2 LAST\nC:")
		c.codes("250")
		messages := h.spool.all()
		if o := messages[len(messages)-1].Origin; o.User != test.user || o.Protocol != "ESMTPSA" {
			t.Errorf("%s: origin %+v, want %q", test.name, o, test.user)
		}
		c.talk("C: AUTH PLAIN AGFubgB3cm9uZw==")
		c.codes("535")
		c.talk("C: MAIL FROM:<a@example.com>\nS: 530 5.7.0 Authentication required")
	}
}

func TestLegacyTLS(t *testing.T) {
	t.Parallel()
	h, config := withTLS(t, inbound.TLSImplicit)
	h.options.Listeners[0].Profile = inbound.ProfileLegacy
	h.open().run()
	config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
	conn, err := tls.Dial("tcp", h.addr(), config)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, conn)
	c.codes("220")
	c.send("EHLO\r\n")
	if got := strings.Join(c.ehlo(), "\n"); !strings.Contains(got, "\nAUTH=PLAIN LOGIN") {
		t.Errorf("offered are\n%s", got)
	}
}
