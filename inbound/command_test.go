package inbound_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"postrider/inbound"
	"postrider/relay"
)

func bytesBeforeBanner(t *testing.T) {
	h := newHouse(t).open()
	c := h.dial() // nobody serves yet, so the bytes are there before the banner
	c.send("EHLO client.example\r\n")
	c.conn.(interface{ CloseWrite() error }).CloseWrite()
	h.run()
	c.talk(`
		S: 554 5.5.0 Client spoke before the greeting
		S: EOF`)
}

func pipelinedBehindEHLO(t *testing.T) {
	h := newHouse(t).open().run()
	h.dial().talk(`
		S: 220 mx.example.com ESMTP Postrider
		C: EHLO client.example
		C: MAIL FROM:<a@example.com>
		S: 554 5.5.0 Improper command pipelining
		S: EOF`)
	c := h.dial()
	c.talk(`
		S: 220 mx.example.com ESMTP Postrider
		C: HELO client.example
		C: QUIT
		S: 250 mx.example.com
		S: 221 2.0.0 Bye
		S: EOF`)
}

func pipelinedBehindDATA(t *testing.T) {
	h := newHouse(t).open().run()
	h.ready().talk(`
		C: DATA
		C: Subject: x
		C: .
		S: 554 5.5.0 Improper command pipelining
		S: EOF`)
	// Nor are the lines of such a message commands where nobody is there to send it to.
	c := h.greeted()
	c.send("DATA\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nx\r\n.\r\n")
	c.talk("S: 554 5.5.0 Improper command pipelining\nS: EOF")
	if n := len(h.spool.all()); n != 0 {
		t.Errorf("%d messages, want none", n)
	}
}

func beforeEHLO(t *testing.T) {
	newHouse(t).open().run().dial().talk(`
		S: 220 mx.example.com ESMTP Postrider
		C: MAIL FROM:<a@example.com>
		S: 503 5.5.1 Send EHLO first
		C: RSET
		S: 250 2.0.0 Ok
		C: NOOP
		S: 250 2.0.0 Ok
		C: QUIT
		S: 221 2.0.0 Bye
		S: EOF`)
}

func TestGreeting(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.options.Limits.Recipients = 7
	h.open().run()
	h.dial().talk(`
		S: 220 mx.example.com ESMTP Postrider
		C: EHLO client.example
		S: 250-mx.example.com
		S: 250-PIPELINING
		S: 250-8BITMIME
		S: 250-ENHANCEDSTATUSCODES
		S: 250-CHUNKING
		S: 250-SMTPUTF8
		S: 250-DSN
		S: 250-SIZE 50000000
		S: 250-LIMITS RCPTMAX=7
		S: 250 MT-PRIORITY`)
}

func longCommand(t *testing.T) {
	h := newHouse(t).open().run()
	c := h.greeted()
	within := "NOOP " + strings.Repeat("x", 4096-len("NOOP \r\n"))
	c.send(within + "\r\n")
	c.talk("S: 250 2.0.0 Ok")
	c.send(within + "x\r\n")
	c.talk("S: 500 5.5.2 Command line too long")

	c.send(strings.Repeat("MAIL FROM:<", 1<<16) + "\r\n")
	c.talk(`
		S: 500 5.5.2 Command line too long
		C: NOOP
		S: 250 2.0.0 Ok`)
}

func manyErrors(t *testing.T) {
	h := newHouse(t).open().run()
	c := h.greeted()
	for range 19 {
		c.talk("C: FROB\nS: 500 5.5.2 Command not recognized")
	}
	c.talk(`
		C: FROB
		S: 500 5.5.2 Command not recognized
		S: 421 4.7.0 Too many errors, closing connection
		S: EOF`)
}

func TestRefusedRecipientsBesideAcceptedAreNoErrors(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.policy.OnRcpt = func(_ *relay.Origin, _ *relay.Envelope, r relay.Recipient) *relay.Reply {
		if r.Address.Local == "bad" {
			return relay.NewReply(550, relay.EnhancedCode{5, 1, 1}, "No such user")
		}
		return nil
	}
	c := h.open().run().ready()
	for range 50 {
		c.talk("C: RCPT TO:<bad@example.org>\nS: 550 5.1.1 No such user")
	}
	c.talk("C: DATA\nS: 354 End data with <CR><LF>.<CR><LF>\nC: .\nS: 250 2.0.0 Ok: queued as <id>")
}

// Not for ever, though: with more of them than a message may have recipients it is not mail that somebody wrote.
func TestRecipientsWithoutEnd(t *testing.T) {
	t.Parallel()
	for name, rcpt := range map[string]struct{ to, reply, end string }{
		"refused": {"bad@example.org", "550", "421 4.7.0 Too many errors, closing connection"},
		"again":   {"b@example.org", "250", "421 4.7.0 Too many commands without a message, closing connection"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.options.Limits.Recipients, h.options.Limits.Errors, h.options.Limits.Commands = 50, 20, 30
			h.policy.OnRcpt = func(_ *relay.Origin, _ *relay.Envelope, r relay.Recipient) *relay.Reply {
				if r.Address.Local == "bad" {
					return relay.NewReply(550, relay.EnhancedCode{5, 1, 1}, "No such user")
				}
				return nil
			}
			c := h.open().run().ready()
			for n := range 1100 {
				c.send("RCPT TO:<" + rcpt.to + ">\r\n")
				reply := c.line()
				if strings.HasPrefix(reply, rcpt.reply) {
					continue
				}
				if reply != rcpt.end || n < 1000 {
					t.Errorf("got %q after %d, want %q", reply, n, rcpt.end)
				}
				return
			}
			t.Error("it went on without end")
		})
	}
}

func diskLow(t *testing.T) {
	h := newHouse(t)
	h.spool.onAdmit = func() error { return relay.StorageFull(errors.New("2% left on /secret/path")) }
	h.open().run().greeted().talk(`
		C: MAIL FROM:<a@example.com>
		S: 452 4.3.1 Insufficient system storage, try again later`)
}

func dsnParameters(t *testing.T) {
	h := newHouse(t).open().run()
	c := h.greeted()
	c.talk(`
		C: MAIL FROM:<a@example.com> RET=hdrs ENVID=QQ+2B314159 BODY=8BITMIME SMTPUTF8 AUTH=<>
		S: 250 2.1.0 Ok
		C: RCPT TO:<b@example.org> NOTIFY=SUCCESS,delay ORCPT=rfc822;Bob+2Bx@example.org
		S: 250 2.1.5 Ok
		C: RCPT TO:<c@example.org> NOTIFY=NEVER,DELAY
		S: 501 5.5.4 Syntax error in arguments
		C: RCPT TO:<c@example.org> NOTIFY=DELAY NOTIFY=SUCCESS
		S: 501 5.5.4 Syntax error in arguments
		C: RCPT TO:<c@example.org> ORCPT=rfc822;a+2
		S: 501 5.5.4 Syntax error in arguments
		C: RCPT TO:<c@example.org> NOTIFY=NEVER ORCPT=utf-8;\x{F6}@example.org
		S: 250 2.1.5 Ok
		C: RCPT TO:<d@example.org>
		S: 250 2.1.5 Ok
		C: DATA
		S: 354 End data with <CR><LF>.<CR><LF>
		C: .
		S: 250 2.0.0 Ok: queued as <id>`)
	e := h.spool.all()[0].Envelope
	if e.Return != relay.ReturnHeaders || e.EnvelopeID != "QQ+314159" || !e.EightBit || !e.SMTPUTF8 || e.RequireTLS {
		t.Errorf("envelope %+v", e)
	}
	want := []relay.Recipient{
		{Address: relay.Address{Local: "b", Domain: "example.org"}, Notify: relay.NotifySuccess | relay.NotifyDelay, Original: "rfc822;Bob+x@example.org"},
		{Address: relay.Address{Local: "c", Domain: "example.org"}, Notify: relay.NotifyNever, Original: "utf-8;ö@example.org"},
		{Address: relay.Address{Local: "d", Domain: "example.org"}},
	}
	for i, w := range want {
		if got := e.Recipients[i]; got != w {
			t.Errorf("recipient %d: got %+v, want %+v", i, got, w)
		}
	}
}

func queueID(t *testing.T) {
	h := newHouse(t).open().run()
	c := h.data()
	c.send("Subject: x\r\n.\r\n")
	line, err := c.r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	m := h.spool.all()[0]
	if want := "250 2.0.0 Ok: queued as " + m.ID.String() + "\r\n"; line != want {
		t.Errorf("got %q, want %q", line, want)
	}
	if !strings.Contains(string(m.Header), m.ID.String()) {
		t.Errorf("no queue id in the header %s", m.Header)
	}
	o := m.Origin
	if o.Listener != "main" || o.Client.String() != "127.0.0.1" || o.Greeting != "client.example" || o.Protocol != "ESMTP" || o.User+o.TLS != "" {
		t.Errorf("origin %+v", o)
	}
}

func relayDenied(t *testing.T) {
	h := newHouse(t)
	h.policy.OnRcpt = func(*relay.Origin, *relay.Envelope, relay.Recipient) *relay.Reply {
		return relay.NewReply(554, relay.EnhancedCode{5, 7, 1}, "Relay access denied")
	}
	h.open().run().greeted().talk(`
		C: MAIL FROM:<a@example.com>
		C: RCPT TO:<b@example.org>
		C: DATA
		S: 250 2.1.0 Ok
		S: 554 5.7.1 Relay access denied
		S: 554 5.5.1 No valid recipients`)
}

func TestConnectRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.policy.OnConnect = func(o *relay.Origin) *relay.Reply {
		return relay.NewReply(554, relay.EnhancedCode{5, 7, 1}, "Not you, "+o.Client.String())
	}
	h.open().run().dial().talk("S: 554 5.7.1 Not you, 127.0.0.1\nS: EOF")
}

func TestConnectionLimits(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		limits inbound.Limits
		want   string
		reason relay.Reason
	}{
		{"all", inbound.Limits{Connections: 2}, "421 4.7.0 Too many connections, try again later", relay.ReasonConnections},
		{"client", inbound.Limits{ConnectionsPerClient: 2}, "421 4.7.0 Too many connections from your network, try again later", relay.ReasonConnectionsPerClient},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.options.Limits = test.limits
			h.open().run()
			first := h.greeted()
			h.greeted()
			h.dial().talk("S: " + test.want + "\nS: EOF")
			refused := h.observer.AllRefused()
			if len(refused) != 1 || refused[0].Stage != "connect" || refused[0].Reason != test.reason || refused[0].Reply.String() != test.want {
				t.Errorf("refusals %+v, want one at connect", refused)
			}
			first.talk("C: QUIT\nS: 221 2.0.0 Bye\nS: EOF")
			h.greeted() // the place is free before the client reads the end
		})
	}
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/smtp"
	left, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	left.(*net.UnixListener).SetUnlinkOnClose(false)
	left.Close() // as a crash leaves it

	h := newHouse(t)
	h.options.Listeners[0].Address = "unix:" + path
	h.options.Listeners[0].Auth = inbound.AuthRequired
	h.options.Users.File = usersFile(t)
	h.open().run()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := newClient(t, conn)
	c.codes("220")
	c.send("EHLO client.example\r\n")
	c.ehlo()
	c.talk("C: AUTH PLAIN AGFubgBzZWNyZXQ=\nS: 235 2.7.0 Authentication succeeded")

	if _, err := inbound.New(h.options); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a second server at the socket: %v, want an error that names it", err)
	}
}
