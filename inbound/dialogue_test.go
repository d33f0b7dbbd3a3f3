package inbound_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"
)

// client is the test's end of a session.
type client struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

// patience bounds every wait of a test: what takes longer is broken.
const patience = 20 * time.Second

func (h *house) dial() *client { return h.dialAt("main") }

func (h *house) dialAt(listener string) *client {
	h.t.Helper()
	conn, err := net.Dial("tcp", h.server.Addrs()[listener].String())
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	return newClient(h.t, conn)
}

func newClient(t testing.TB, conn net.Conn) *client {
	conn.SetDeadline(time.Now().Add(patience))
	return &client{t: t, conn: conn, r: bufio.NewReader(conn)}
}

// greeted dials and gets past EHLO.
func (h *house) greeted() *client { return h.greetedAt("main") }

func (h *house) greetedAt(listener string) *client {
	h.t.Helper()
	c := h.dialAt(listener)
	c.talk("S: 220 mx.example.com ESMTP Postrider")
	c.send("EHLO client.example\r\n")
	c.ehlo()
	return c
}

// ready gets past RCPT.
func (h *house) ready() *client {
	h.t.Helper()
	c := h.greeted()
	c.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\n")
	c.codes("250", "250")
	return c
}

// data gets past DATA.
func (h *house) data() *client {
	h.t.Helper()
	c := h.ready()
	c.send("DATA\r\n")
	c.codes("354")
	return c
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.t.Fatalf("send %.60q: %v", text, err)
	}
}

// ids are queue IDs; a dialogue has <id> for them.
var ids = regexp.MustCompile(`\b[0-9A-HJKMNP-TV-Z]{26}\b`)

// line reads a line of a reply; "EOF" stands for the end of the connection.
func (c *client) line() string {
	c.t.Helper()
	line, err := c.r.ReadString('\n')
	if err == io.EOF && line == "" {
		return "EOF"
	}
	if err != nil {
		c.t.Fatalf("read a reply: %v, after %q", err, line)
	}
	text, ok := strings.CutSuffix(line, "\r\n")
	if !ok {
		c.t.Fatalf("reply %q does not end in CRLF", line)
	}
	return ids.ReplaceAllString(text, "<id>")
}

// reply reads a reply and returns its last line.
func (c *client) reply() string {
	c.t.Helper()
	for {
		line := c.line()
		if len(line) < 4 || line[3] != '-' {
			return line
		}
	}
}

// codes reads as many replies and compares how they begin.
func (c *client) codes(want ...string) {
	c.t.Helper()
	for i, w := range want {
		if got := c.reply(); !strings.HasPrefix(got, w) {
			c.t.Fatalf("reply %d: got %q, want %s", i+1, got, w)
		}
	}
}

// ehlo reads the reply to EHLO and returns what it offers.
func (c *client) ehlo() []string {
	c.t.Helper()
	var offers []string
	for {
		line := c.line()
		if !strings.HasPrefix(line, "250") {
			c.t.Fatalf("got %q in reply to EHLO", line)
		}
		offers = append(offers, line[4:])
		if line[3] == ' ' {
			return offers[1:]
		}
	}
}

// talk follows a script of lines "C: text" and "S: text", both exact. Lines of the client in
// a row are one write. "S: EOF" is the end of the connection.
func (c *client) talk(script string) {
	c.t.Helper()
	var sending strings.Builder
	for line := range strings.SplitSeq(strings.TrimLeft(script, "\n\t"), "\n") {
		line = strings.TrimLeft(line, "\t")
		if text, ok := strings.CutPrefix(line, "C:"); ok {
			sending.WriteString(strings.TrimPrefix(text, " ") + "\r\n")
			continue
		}
		want, ok := strings.CutPrefix(line, "S: ")
		if !ok {
			c.t.Fatalf("script line %q", line)
		}
		if sending.Len() > 0 {
			c.send(sending.String())
			sending.Reset()
		}
		if got := c.line(); got != want {
			c.t.Fatalf("got  %q\nwant %q", got, want)
		}
	}
	if sending.Len() > 0 {
		c.send(sending.String())
	}
}

// startTLS does the client's handshake.
func (c *client) startTLS(config *tls.Config) {
	c.t.Helper()
	conn := tls.Client(c.conn, config)
	if err := conn.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	c.conn, c.r = conn, bufio.NewReader(conn)
}
