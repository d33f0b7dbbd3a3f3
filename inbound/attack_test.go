package inbound_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postrider/inbound"
	"postrider/inbound/auth"
	"postrider/relay"
)

// TestRecipientTricks: whatever a recipient looks like, permission is asked for the domain that the
// mail would go to, and what can be read in two ways is refused.
func TestRecipientTricks(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.options.Limits.Errors = 1000
	h.policy.OnRcpt = func(_ *relay.Origin, _ *relay.Envelope, r relay.Recipient) *relay.Reply {
		return refusedIf(r.Address.Domain != "ours.example", relay.NewReply(554, relay.EnhancedCode{5, 7, 1}, "Relay access denied"))
	}
	h.open().run()
	c := h.greeted()
	c.send("MAIL FROM:<a@example.com> SMTPUTF8\r\n")
	c.codes("250")
	for _, test := range []struct{ to, want string }{
		{"<b@OURS.example>", "250"},
		{"<b%evil.example@ours.example>", "250"}, // a local part of ours: nobody here takes it apart
		{"<evil.example!b@ours.example>", "250"},
		{`<"b@evil.example"@ours.example>`, "250"},
		{`<"b@evil.example> <"@ours.example>`, "250"},
		{`<"b\"@evil.example>"@ours.example>`, "250"},
		{"<@evil.example,@worse.example:b@ours.example>", "250"},
		{"<b@evil.example>", "554"},
		{"<@ours.example:b@evil.example>", "554"},
		{"<b%ours.example@evil.example>", "554"},
		{`<"b@ours.example"@evil.example>`, "554"},
		{"<b@ours.example.evil.example>", "554"},
		{"<b@[127.0.0.1]>", "554"},
		{"<b@[IPv6:::1]>", "554"},
		{"<b@[ours.example]>", "501"},
		{"<b@[127.0.0.1].ours.example>", "501"},
		{"<b@evil.example@ours.example>", "501"},
		{"<b@ours.example@evil.example>", "501"},
		{"<b@evil.example,c@ours.example>", "501"},
		{"<b@evil.example b@ours.example>", "501"},
		{"<b@ours.example>b@evil.example", "501"},
		{"<b@ours.example> <b@evil.example>", "555"},
		{"<b@ours.example>,<b@evil.example>", "501"},
		{"b@evil.example<b@ours.example>", "501"},
		{"<b@evil.example>\t<b@ours.example>", "555"},
		{"<<b@ours.example>>", "501"},
		{"<@ours.example:>", "501"},
		{"<@[IPv6:::1]:b@ours.example>", "501"},
		{"<b@ours.example.>", "501"},
		{"<b@.ours.example>", "501"},
		{"<b@ours..example>", "501"},
		{`<"b@ours.example>`, "501"},
		{`<b"@ours.example>`, "501"},
		{`<"b"c@ours.example>`, "501"},
		{`<"b\@ours.example>`, "501"},
		{"<b@ours.example\x00.evil.example>", "500"},
		{"<b@ours.example\r.evil.example>", "500"},
		{"<b\x1b[2J@ours.example>", "500"},
		{"<b\u009b2J@ours.example>", "500"}, // the same in UTF-8
		{"<b@ours\u3002example>", "501"},    // full stops that become one in a look-up
		{"<b@ours\uff0eexample>", "501"},
		{"<b@ours\uff61example>", "501"},
		{"<b@o\u00adurs.example>", "501"}, // what vanishes in a look-up
		{"<b@o\u200burs.example>", "501"},
		{"<b@\ufeffours.example>", "501"},
		{"<b@\u202eours.example>", "501"}, // what changes how the rest is shown
		{"<b@ours.\u00a0example>", "501"},
		{"<b@b\u00fccher.example>", "554"},
	} {
		c.send("RCPT TO:" + test.to + "\r\n")
		if got := c.reply(); !strings.HasPrefix(got, test.want) {
			t.Errorf("RCPT TO:%q: got %q, want %s", test.to, got, test.want)
		}
	}
	c.talk("C: DATA\nS: 354 End data with <CR><LF>.<CR><LF>\nC: .\nS: 250 2.0.0 Ok: queued as <id>")
	want := []string{
		"b@ours.example", "b%evil.example@ours.example", "evil.example!b@ours.example", `"b@evil.example"@ours.example`,
		`"b@evil.example> <"@ours.example`, `"b\"@evil.example>"@ours.example`,
	}
	var got []string
	for _, r := range h.spool.all()[0].Envelope.Recipients {
		got = append(got, r.Address.String())
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("recipients\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestAttacks are sessions that try to get more out of us than they should.
func TestAttacks(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(*house)
		script string
	}{
		{"commands behind AUTH", nil, `
			C: AUTH PLAIN AGFubgBzZWNyZXQ=
			C: MAIL FROM:<a@example.com>
			S: 554 5.5.0 Improper command pipelining
			S: EOF`},
		{"a password behind AUTH", nil, `
			C: AUTH PLAIN
			C: AGFubgBzZWNyZXQ=
			S: 554 5.5.0 Improper command pipelining
			S: EOF`},
		{"a line that is too long inside AUTH ends it", nil, "C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: " + strings.Repeat("x", 13000) +
			"\nS: 500 5.5.2 Command line too long\nC: NOOP\nS: 250 2.0.0 Ok\nC: AUTH PLAIN AGFubgBzZWNyZXQ=\nS: 235 2.7.0 Authentication succeeded"},
		{"a size beyond our numbers", nil, `
			C: MAIL FROM:<a@example.com> SIZE=99999999999999999999
			S: 552 5.3.4 Message size exceeds the limit
			C: MAIL FROM:<a@example.com> SIZE=999999999999999999999
			S: 501 5.5.4 Syntax error in arguments
			C: MAIL FROM:<a@example.com> SIZE=-1
			S: 501 5.5.4 Syntax error in arguments`},
		{"a chunk beyond our numbers", nil, `
			C: BDAT 99999999999999999999 LAST
			C: MAIL FROM:<a@example.com>
			S: 501 5.5.4 Syntax error in arguments
			S: EOF`},
		{"a negative chunk", nil, "C: BDAT -1 LAST\nC: NOOP\nS: 501 5.5.4 Syntax error in arguments\nS: EOF"},
		{"a chunk with a plus", nil, "C: BDAT +1 LAST\nC: NOOP\nS: 501 5.5.4 Syntax error in arguments\nS: EOF"},
		{"chunks of nothing", nil, upToRecipient + `C: BDAT 0
			S: 250 2.0.0 Ok, more
			C: BDAT 0 LAST
			S: 250 2.0.0 Ok: queued as <id>
			C: BDAT 0 LAST
			S: 503 5.5.1 Need MAIL command first`},
		{"an end of DATA inside BDAT is content", nil, upToRecipient + `C: BDAT 31 LAST
			C: x: y
			C:
			C: .
			C: RSET
			C: MAIL FROM:<>
			S: 250 2.0.0 Ok: queued as <id>
			C: NOOP
			S: 250 2.0.0 Ok`},
		{"BDAT inside DATA is content", nil, upToRecipient + `C: DATA
			S: 354 End data with <CR><LF>.<CR><LF>
			C: BDAT 100 LAST
			C: .
			S: 250 2.0.0 Ok: queued as <id>
			C: NOOP
			S: 250 2.0.0 Ok`},
		{"DATA and BDAT mixed", nil, upToRecipient + `C: BDAT 2
			C:
			S: 250 2.0.0 Ok, more
			C: DATA
			S: 503 5.5.1 Not allowed between BDAT chunks
			C: RSET
			S: 250 2.0.0 Ok
			C: DATA
			S: 503 5.5.1 Need MAIL command first`},
		{"commands without a message", func(h *house) { h.options.Limits.Commands = 4 }, `
			C: NOOP
			S: 250 2.0.0 Ok
			C: RSET
			S: 250 2.0.0 Ok
			C: VRFY <root>
			S: 252 2.5.0 Cannot verify, will try to deliver
			S: 421 4.7.0 Too many commands without a message, closing connection
			S: EOF`},
		{"a message makes room for more commands", func(h *house) { h.options.Limits.Commands = 4 }, `
			C: NOOP
			S: 250 2.0.0 Ok
			C: RSET
			S: 250 2.0.0 Ok
			C: MAIL FROM:<a@example.com>
			S: 250 2.1.0 Ok
			C: RCPT TO:<b@example.org>
			S: 250 2.1.5 Ok
			C: BDAT 2 LAST
			C:
			S: 250 2.0.0 Ok: queued as <id>
			C: NOOP
			S: 250 2.0.0 Ok
			C: RSET
			S: 250 2.0.0 Ok
			C: NOOP
			S: 250 2.0.0 Ok`},
		{"DATA when all recipients were refused for now", func(h *house) {
			h.policy.OnRcpt = func(_ *relay.Origin, _ *relay.Envelope, r relay.Recipient) *relay.Reply {
				if r.Address.Local == "never" {
					return relay.NewReply(550, relay.EnhancedCode{5, 1, 1}, "No such user")
				}
				return relay.LocalError(errors.New("the policy is broken"))
			}
		}, `
			C: MAIL FROM:<a@example.com>
			S: 250 2.1.0 Ok
			C: RCPT TO:<never@example.org>
			S: 550 5.1.1 No such user
			C: DATA
			S: 554 5.5.1 No valid recipients
			C: RCPT TO:<b@example.org>
			S: 451 4.3.0 Temporary local problem, try again later
			C: DATA
			S: 451 4.5.0 No valid recipients now, try again later
			C: BDAT 2 LAST
			C:
			S: 451 4.5.0 No valid recipients now, try again later
			C: RSET
			S: 250 2.0.0 Ok
			C: MAIL FROM:<a@example.com>
			S: 250 2.1.0 Ok
			C: RCPT TO:<never@example.org>
			S: 550 5.1.1 No such user
			C: DATA
			S: 554 5.5.1 No valid recipients`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := withUsers(t, inbound.AuthOptional)
			if test.change != nil {
				test.change(h)
			}
			h.open().run().greeted().talk(test.script)
		})
	}
}

// certified is a house in which bob is known by his certificate, and a session of his.
func certified(t *testing.T, change func(*house)) (*house, *client) {
	t.Helper()
	ours := newAuthority(t)
	h := withUsers(t, inbound.AuthOptional)
	h.options.Listeners[0].TLS = inbound.TLSOptions{
		Certificates: []inbound.Certificate{ours.issue("localhost", "", "localhost")}, ClientCA: ours.file(), Mode: inbound.TLSImplicit,
	}
	if change != nil {
		change(h)
	}
	config := ours.trust("localhost")
	config.Certificates = []tls.Certificate{ours.load(ours.issue("bob", "bob"))}
	conn, err := tls.Dial("tcp", h.open().run().addr(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := newClient(t, conn)
	c.codes("220")
	c.send("EHLO client.example\r\n")
	c.ehlo()
	return h, c
}

// TestCertificateStays: an AUTH that comes to nothing costs nobody what a certificate has proved, be
// it the store that has failed. A wrong password does.
func TestCertificateStays(t *testing.T) {
	t.Parallel()
	h, c := certified(t, func(h *house) {
		relaying(h)
		h.options.Users.HTTP = &auth.HTTPOptions{URL: "http://127.0.0.1:1/"} // nobody is there
	})
	h.spool.excuse()
	c.talk(`
		C: AUTH PLAIN AHplZABzZWNyZXQ=
		S: 454 4.7.0 Temporary authentication failure
		C: AUTH PLAIN
		S: 334 
		C: *
		S: 501 5.0.0 Negotiation cancelled
		C: AUTH FROB
		S: 504 5.5.4 Authentication mechanism not supported
		C: MAIL FROM:<a@evil.example>
		S: 553 5.7.1 Sender address not allowed for this user
		C: MAIL FROM:<bob@example.com>
		S: 250 2.1.0 Ok
		C: RCPT TO:<b@example.org>
		S: 250 2.1.5 Ok
		C: BDAT 2 LAST
		C:
		S: 250 2.0.0 Ok: queued as <id>
		C: AUTH PLAIN AGFubgB3cm9uZw==
		S: 535 5.7.8 Authentication failed
		C: MAIL FROM:<bob@example.com>
		S: 250 2.1.0 Ok
		C: RCPT TO:<b@example.org>
		S: 250 2.1.5 Ok
		C: BDAT 2 LAST
		C:
		S: 250 2.0.0 Ok: queued as <id>
		C: AUTH PLAIN AGFubgBzZWNyZXQ=
		S: 235 2.7.0 Authentication succeeded
		C: AUTH PLAIN AGFubgBzZWNyZXQ=
		S: 503 5.5.1 Already authenticated`)
	for i, want := range []relay.Origin{{User: "bob", Protocol: "ESMTPSA"}, {Protocol: "ESMTPS"}} {
		if o := h.spool.all()[i].Origin; o.User != want.User || o.Protocol != want.Protocol {
			t.Errorf("message %d is %q's by %s, want %q's by %s", i, o.User, o.Protocol, want.User, want.Protocol)
		}
	}
}

// TestMalformedProxyIsNamed: the log says which balancer it was.
func TestMalformedProxyIsNamed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.options.Listeners[0].ProxyProtocol = loopback
	h.open().run()
	c := h.dial()
	c.send("EHLO client.example\r\n")
	c.talk("S: EOF")
	if r := h.observer.AllRefused(); len(r) != 1 || r[0].Origin.Client.String() != "127.0.0.1" {
		t.Errorf("refusals %+v, want one of 127.0.0.1", r)
	}
}

// TestZone: a client on a link of ours is known by its address alone, as networks have no zones.
func TestZone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.options.Listeners[0].XClient = []netip.Prefix{netip.MustParsePrefix("fe80::/10")}
	p := &onePipe{make(chan net.Conn), make(chan struct{})}
	h.openAt(p).run()
	ours, theirs := net.Pipe()
	p.conns <- farConn{theirs, "[fe80::1%lo]:1000"}
	c := newClient(t, ours)
	c.codes("220")
	c.send("XCLIENT ADDR=192.0.2.1\r\n")
	c.codes("220")
	c.conn.Close()
}

// breaking is an observer that panics when it is told of a refusal.
type breaking struct{ relay.Observer }

func (breaking) Refused(relay.Refused) { panic("the observer is broken") }

// TestPanicBetweenCommands: wherever in a session it happens, other sessions go on.
func TestPanicBetweenCommands(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.receive()
	h.options.Observer = breaking{h.observer}
	h.open().run()
	other := h.greeted()
	h.spool.excuse()
	h.greeted().talk("C: NOOP " + strings.Repeat("x", 4096) + "\nS: " + localError + "\nS: EOF")
	other.talk("C: NOOP\nS: 250 2.0.0 Ok")
}

// TestPanicAtTheDoor: nor does it end the server where a client is turned away.
func TestPanicAtTheDoor(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.receive()
	h.options.Observer = breaking{h.observer}
	h.options.Limits.Connections = 1
	h.open().run()
	one := h.greeted()
	h.spool.excuse()
	h.dial().talk("S: EOF")
	one.talk("C: NOOP\nS: 250 2.0.0 Ok")
}

// TestSlowLoris: in each phase of a session that takes more than commands, a client that goes on
// byte by byte is cut off.
func TestSlowLoris(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(*testing.T, *house)
		begin  string
		within time.Duration
	}{
		{"PROXY header", func(_ *testing.T, h *house) { h.options.Listeners[0].ProxyProtocol = loopback }, "PROXY ", 10 * time.Second},
		{"handshake", func(t *testing.T, h *house) {
			h.options.Listeners[0].TLS, _ = certificate(t, inbound.TLSImplicit)
		}, "\x16\x03\x01\x20\x00", 30 * time.Second},
		{"STARTTLS", func(t *testing.T, h *house) {
			h.options.Listeners[0].TLS, _ = certificate(t, inbound.TLSStartTLS)
		}, "EHLO x\r\nSTARTTLS\r\n\x16\x03\x01\x20\x00", 30 * time.Second},
		{"AUTH", func(t *testing.T, h *house) {
			h.options.Listeners[0].Auth = inbound.AuthOptional
			h.options.Users.File = usersFile(t)
		}, "EHLO x\r\nAUTH PLAIN\r\n", 5 * time.Minute},
		{"swallowing", func(_ *testing.T, h *house) { h.options.Limits.MessageSize = 1000 },
			"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n" + strings.Repeat("x", 1500) + "\r\n", 6 * time.Minute},
		{"a chunk that is refused", nil, "EHLO x\r\nBDAT 100000 LAST\r\n", 6 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) { slowLoris(t, test.change, test.begin, test.within) })
	}
}

func slowLoris(t *testing.T, change func(*testing.T, *house), begin string, within time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		if change != nil {
			change(t, h)
		}
		at := newPipes()
		h.openAt(at).run()
		ours, theirs := net.Pipe()
		at.conns <- farConn{theirs, "127.0.0.1:1000"}
		go io.Copy(io.Discard, ours)
		for line := range strings.SplitAfterSeq(begin, "\n") {
			if _, err := io.WriteString(ours, line); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
		}
		began := time.Now()
		newClient(t, ours).drip("x", time.Second)()
		if took := time.Since(began); took > within+time.Second {
			t.Errorf("cut off after %s, want within %s", took, within)
		}
	})
}
