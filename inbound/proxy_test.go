package inbound_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"

	"postrider/inbound"
	"postrider/inbound/auth"
	"postrider/relay"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// header2 is a version 2 header.
func header2(t testing.TB, command proxyproto.ProtocolVersionAndCommand, client string) string {
	t.Helper()
	h := &proxyproto.Header{Version: 2, Command: command, TransportProtocol: proxyproto.UNSPEC}
	if client != "" {
		h = proxyproto.HeaderProxyFromAddrs(2, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(client)), &net.TCPAddr{IP: net.IPv6loopback, Port: 25})
		h.Command = command
	}
	b, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// proxyHeaders are conformance I23: the client is whom the header names.
func proxyHeaders(t *testing.T) {
	h := newHouse(t)
	h.options.Listeners[0].ProxyProtocol = loopback
	h.open().run()
	for _, test := range []struct{ header, client string }{
		{"PROXY TCP4 192.0.2.9 127.0.0.1 1000 25\r\n", "192.0.2.9"},
		{"PROXY TCP6 2001:db8::9 ::1 1000 25\r\n", "2001:db8::9"},
		{"PROXY UNKNOWN\r\n", "127.0.0.1"},
		{header2(t, proxyproto.PROXY, "192.0.2.8:1000"), "192.0.2.8"},
		{header2(t, proxyproto.PROXY, "[2001:db8::8]:1000"), "2001:db8::8"},
		{header2(t, proxyproto.LOCAL, ""), "127.0.0.1"},
		{header2(t, proxyproto.LOCAL, "192.0.2.8:1000"), "127.0.0.1"},
	} {
		c := h.dial()
		c.send(test.header)
		c.codes("220")
		c.talk("C: HELO client.example\nS: 250 mx.example.com\nC: MAIL FROM:<>\nS: 250 2.1.0 Ok\nC: RCPT TO:<b@example.org>\nS: 250 2.1.5 Ok\nC: BDAT 2 LAST\nC:")
		c.codes("250")
		messages := h.spool.all()
		if m := messages[len(messages)-1]; m.Origin.Client.String() != test.client || !strings.Contains(string(m.Header), test.client) {
			t.Errorf("%q: the client is %s, want %s", test.header, m.Origin.Client, test.client)
		}
	}
}

func malformedProxy(t *testing.T) {
	h := newHouse(t)
	h.options.Listeners[0].ProxyProtocol = loopback
	h.open().run()
	v2 := header2(t, proxyproto.PROXY, "192.0.2.8:1000")
	for _, header := range []string{
		"EHLO client.example\r\n", "PROXY TCP4 192.0.2.9\r\n", "PROXY TCP4 300.0.2.9 127.0.0.1 1 25\r\n", "PROXY TCP4 192.0.2.9 127.0.0.1 1 25\n",
		"PROXY " + strings.Repeat("x", 200) + "\r\n", v2[:14] + "\xff\xff" + v2[16:] + "\r\n", "\r\n\r\n\x00\r\nQUIT\n" + "\x51\x11\x00\x0c" + strings.Repeat("x", 12),
	} {
		c := h.dial()
		c.send(header + "MAIL FROM:<a@example.com>\r\n")
		c.talk("S: EOF")
	}
	looking := h.dial() // whether we are there
	looking.conn.(interface{ CloseWrite() error }).CloseWrite()
	looking.talk("S: EOF")
	if n := len(h.observer.AllRefused()); n != 7 {
		t.Errorf("%d refusals were reported, want one each", n)
	}
}

// proxyFromOthers: who is not a configured balancer may not say who it is.
func proxyFromOthers(t *testing.T) {
	h := newHouse(t)
	h.options.Listeners[0].ProxyProtocol = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	h.open().run()
	c := h.dial()
	c.codes("220")
	c.talk("C: PROXY TCP4 192.0.2.9 127.0.0.1 1000 25\nS: 500 5.5.2 Command not recognized")
}

// proxiedClients counts the clients behind the balancer, not the balancer.
func proxiedClients(t *testing.T) {
	h := newHouse(t)
	h.options.Listeners[0].ProxyProtocol = loopback
	h.options.Limits.ConnectionsPerClient = 2
	h.policy.OnConnect = func(o *relay.Origin) *relay.Reply {
		if o.Client.String() == "192.0.2.66" {
			return relay.NewReply(554, relay.EnhancedCode{5, 7, 1}, "Not you")
		}
		return nil
	}
	h.open().run()
	from := func(client string) *client {
		c := h.dial()
		if strings.Contains(client, ":") {
			c.send("PROXY TCP6 " + client + " ::1 1000 25\r\n")
		} else {
			c.send("PROXY TCP4 " + client + " 127.0.0.1 1000 25\r\n")
		}
		return c
	}
	for _, client := range []string{
		"192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1",
	} {
		from(client).codes("220")
	}
	from("2001:db8:0:1::3").talk("S: 421 4.7.0 Too many connections from your network, try again later\nS: EOF") // a /64 is one client
	from("2001:db8:0:2::2").codes("220")
	from("192.0.2.1").talk("S: 421 4.7.0 Too many connections from your network, try again later\nS: EOF")
	from("192.0.2.66").talk("S: 554 5.7.1 Not you\nS: EOF")
}

// proxiedTLS has the header and the handshake arrive together.
func proxiedTLS(t *testing.T) {
	h, config := withTLS(t, inbound.TLSImplicit)
	h.options.Listeners[0].ProxyProtocol = loopback
	h.open().run()
	c := h.dial()
	c.conn = &together{Conn: c.conn, first: "PROXY TCP4 192.0.2.9 127.0.0.1 1000 25\r\n"}
	c.startTLS(config)
	c.codes("220")
	c.send("EHLO client.example\r\n")
	c.ehlo()
	c.talk(overTLS)
	if o := h.spool.all()[0].Origin; o.Client.String() != "192.0.2.9" || o.Protocol != "ESMTPS" {
		t.Errorf("origin %+v", o)
	}
}

// together sends something in front of the first write.
type together struct {
	net.Conn
	first string
}

func (c *together) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(append([]byte(c.first), p...))
	n -= len(c.first)
	c.first = ""
	return n, err
}

func TestXClient(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.options.Listeners[0].XClient = loopback
	h.open().run()
	c := h.greeted()
	c.talk(`
		C: XCLIENT
		S: 501 5.5.4 Syntax error in arguments
		C: XCLIENT ADDR=nowhere
		S: 501 5.5.4 Syntax error in arguments
		C: XCLIENT COLOUR=red
		S: 501 5.5.4 Syntax error in arguments
		C: MAIL FROM:<a@example.com>
		S: 250 2.1.0 Ok
		C: XCLIENT ADDR=192.0.2.9
		S: 503 5.5.1 Not allowed inside a mail transaction
		C: RSET
		S: 250 2.0.0 Ok
		C: XCLIENT NAME=spike.example ADDR=IPV6:2001:db8::9 PORT=[UNAVAILABLE] LOGIN=user+40example PROTO=ESMTP HELO=spike
		S: 220 mx.example.com ESMTP Postrider
		C: MAIL FROM:<a@example.com>
		S: 503 5.5.1 Send EHLO first
		C: HELO real.example
		S: 250 mx.example.com
		C: MAIL FROM:<a@example.com>
		S: 250 2.1.0 Ok
		C: RCPT TO:<b@example.org>
		S: 250 2.1.5 Ok
		C: DATA
		S: 354 End data with <CR><LF>.<CR><LF>
		C: .
		S: 250 2.0.0 Ok: queued as <id>
		C: XCLIENT ADDR=[UNAVAILABLE] LOGIN=[UNAVAILABLE]
		S: 220 mx.example.com ESMTP Postrider`)
	if o := h.spool.all()[0].Origin; o.Client.String() != "2001:db8::9" || o.User != "user@example" || o.Greeting != "real.example" {
		t.Errorf("origin %+v", o)
	}
}

// TestNoWordInClear: who is one too many behind a balancer of TLS connections is told nothing before there is TLS.
func TestNoWordInClear(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.options.Listeners[0].ProxyProtocol = loopback
	h.options.Listeners[0].TLS, _ = certificate(t, inbound.TLSImplicit)
	h.options.Limits.ConnectionsPerClient = 1
	h.open().run()
	first := h.dial()
	first.send("PROXY TCP4 192.0.2.9 127.0.0.1 1000 465\r\n")
	for len(h.observer.AllRefused()) == 0 {
		c := h.dial()
		c.send("PROXY TCP4 192.0.2.9 127.0.0.1 1000 465\r\n")
		c.conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if got, _ := io.ReadAll(c.conn); len(got) > 0 {
			t.Fatalf("got %q, want nothing", got)
		}
	}
}

// TestXClientForgetsFailure: that one client could not be heard is not held against the next.
func TestXClientForgetsFailure(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(service.Close)
	h := newHouse(t)
	h.options.Listeners[0].Auth = inbound.AuthOptional
	h.options.Listeners[0].XClient = loopback
	h.options.Users.HTTP = &auth.HTTPOptions{URL: service.URL}
	h.open().run()
	h.spool.excuse()
	h.greeted().talk(`
		C: AUTH PLAIN AGFubgBzZWNyZXQ=
		S: 454 4.7.0 Temporary authentication failure
		C: MAIL FROM:<a@example.com>
		S: 451 4.7.0 Not authenticated, which failed for now, try again later
		C: XCLIENT ADDR=192.0.2.9
		S: 220 mx.example.com ESMTP Postrider
		C: HELO x
		S: 250 mx.example.com
		C: MAIL FROM:<a@example.com>
		S: 250 2.1.0 Ok`)
}

func TestXClientFromOthers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.options.Listeners[0].XClient = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	c := h.open().run().greeted()
	c.talk("C: XCLIENT ADDR=192.0.2.9\nS: 550 5.7.0 Not allowed to speak for other clients")
}
