package inbound_test

import (
	"crypto/tls"
	"net"
	"slices"
	"strings"
	"testing"

	"postrider/inbound"
)

func withTLS(t *testing.T, mode inbound.TLSMode) (*house, *tls.Config) {
	h := newHouse(t)
	options, config := certificate(t, mode)
	h.options.Listeners[0].TLS = options
	h.options.Listeners[0].Auth = inbound.AuthOptional
	h.options.Users.File = usersFile(t)
	return h, config
}

const overTLS = `
	C: MAIL FROM:<a@example.com> REQUIRETLS
	S: 250 2.1.0 Ok
	C: RCPT TO:<b@example.org>
	S: 250 2.1.5 Ok
	C: DATA
	S: 354 End data with <CR><LF>.<CR><LF>
	C: .
	S: 250 2.0.0 Ok: queued as <id>`

func startTLS(t *testing.T) {
	h, config := withTLS(t, inbound.TLSStartTLS)
	h.open().run()
	c := h.dial()
	c.codes("220")
	c.send("EHLO client.example\r\n")
	if got := c.ehlo(); !slices.Contains(got, "STARTTLS") || slices.Contains(got, "REQUIRETLS") {
		t.Errorf("in clear %v is offered", got)
	}
	c.talk(`
		C: MAIL FROM:<a@example.com> REQUIRETLS
		S: 530 5.7.10 REQUIRETLS is for TLS sessions only
		C: STARTTLS now
		S: 501 5.5.4 Syntax error in arguments
		C: MAIL FROM:<a@example.com>
		S: 250 2.1.0 Ok
		C: STARTTLS
		S: 503 5.5.1 Not allowed inside a mail transaction
		C: RSET
		S: 250 2.0.0 Ok
		C: STARTTLS
		S: 220 2.0.0 Ready to start TLS`)
	c.startTLS(config)
	c.talk(`
		C: MAIL FROM:<a@example.com>
		S: 503 5.5.1 Send EHLO first`)
	c.send("EHLO client.example\r\n")
	if got := c.ehlo(); slices.Contains(got, "STARTTLS") || !slices.Contains(got, "REQUIRETLS") {
		t.Errorf("over TLS %v is offered", got)
	}
	c.talk("C: STARTTLS\nS: 554 5.5.1 TLS is active already")
	c.talk(overTLS)
	c.talk("C: AUTH PLAIN AGFubgBzZWNyZXQ=\nS: 235 2.7.0 Authentication succeeded")
	c.talk(overTLS)
	for i, protocol := range []string{"ESMTPS", "ESMTPSA"} {
		m := h.spool.all()[i]
		if o := m.Origin; o.Protocol != protocol || !strings.HasPrefix(o.TLS, "TLSv1.3, TLS_") || !m.Envelope.RequireTLS {
			t.Errorf("message %d: origin %+v, envelope %+v", i, o, m.Envelope)
		}
	}
	c.talk("C: QUIT\nS: 221 2.0.0 Bye\nS: EOF")
}

func plaintextAhead(t *testing.T) {
	h, config := withTLS(t, inbound.TLSStartTLS)
	c := h.open().run().greeted()
	c.talk(`
		C: STARTTLS
		C: NOOP
		S: 220 2.0.0 Ready to start TLS`)
	c.startTLS(config)
	c.talk("C: RSET\nS: 250 2.0.0 Ok")
}

func failedHandshake(t *testing.T) {
	h, _ := withTLS(t, inbound.TLSStartTLS)
	c := h.open().run().greeted()
	c.talk("C: STARTTLS\nS: 220 2.0.0 Ready to start TLS")
	// Any alert is the TLS library's; what counts is that no command is answered.
	c.send("NOOP this is no handshake\r\nNOOP\r\nNOOP\r\n")
	rest := make([]byte, 1024)
	n, _ := c.r.Read(rest)
	if strings.Contains(string(rest[:n]), "250") {
		t.Errorf("the session goes on in clear: %q", rest[:n])
	}
	h.stop()
	<-h.ended
	if r := h.observer.AllRefused(); len(r) != 1 || r[0].Stage != "connect" {
		t.Errorf("refusals %+v, want the handshake's", r)
	}
}

func implicitTLS(t *testing.T) {
	h, config := withTLS(t, inbound.TLSImplicit)
	conn, err := tls.Dial("tcp", h.open().run().addr(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := newClient(t, conn)
	c.talk("S: 220 mx.example.com ESMTP Postrider")
	c.send("EHLO client.example\r\n")
	c.ehlo()
	c.talk(overTLS)
	c.talk("C: QUIT\nS: 221 2.0.0 Bye\nS: EOF")
	if o := h.spool.all()[0].Origin; o.Protocol != "ESMTPS" {
		t.Errorf("origin %+v", o)
	}
}

// elsewhere makes loopback connections look as if they came from another host.
type elsewhere struct{ net.Listener }

func (l elsewhere) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return remote{conn}, err
}

type remote struct{ net.Conn }

func (remote) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1024} }

func authNotInClear(t *testing.T) {
	h, config := withTLS(t, inbound.TLSStartTLS)
	bound, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.openAt(elsewhere{bound}).run()
	c := h.dial()
	c.codes("220")
	c.send("EHLO client.example\r\n")
	if got := c.ehlo(); slices.Contains(got, "AUTH PLAIN LOGIN") {
		t.Errorf("in clear %v is offered", got)
	}
	c.talk(`
		C: AUTH PLAIN AGFubgBzZWNyZXQ=
		S: 538 5.7.11 Encryption required for authentication
		C: STARTTLS
		S: 220 2.0.0 Ready to start TLS`)
	c.startTLS(config)
	c.send("EHLO client.example\r\n")
	if got := c.ehlo(); !slices.Contains(got, "AUTH PLAIN LOGIN") {
		t.Errorf("over TLS only %v is offered", got)
	}
	c.talk("C: AUTH PLAIN AGFubgBzZWNyZXQ=\nS: 235 2.7.0 Authentication succeeded")
}

func TestTLS11Refused(t *testing.T) {
	t.Parallel()
	h, config := withTLS(t, inbound.TLSImplicit)
	config.MaxVersion = tls.VersionTLS11
	config.MinVersion = tls.VersionTLS10
	if conn, err := tls.Dial("tcp", h.open().run().addr(), config); err == nil {
		conn.Close()
		t.Error("TLS 1.1 is accepted")
	}
}
