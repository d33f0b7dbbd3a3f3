package outbound

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"time"

	"postrider/relay"
)

// conn is a session with a next hop. It implements relay.Conn and belongs to one goroutine.
type conn struct {
	t *Transport
	// set is what the host is one of; nil in a visit to another host of it.
	set    *hostSet
	route  *Route
	remote remote
	// raw is the TCP connection; nc is raw, or TLS over it. Ending raw ends both at once.
	raw, nc  net.Conn
	r        *bufio.Reader
	features features
	// tls describes the encryption; "" for none. verified says that the certificate is good.
	tls      string
	verified bool
	// level is what is asked of the encryption, and tlsas are what TLSDANE goes by.
	level TLSLevel
	tlsas []tlsa
	// base is the name that the TLSA records are of, "" where there are none, and published are
	// the records as reports show them.
	base      string
	published []string
	// chain and anchor are what was verified by the name of a domain, for which alone it is good.
	chain  []*x509.Certificate
	anchor *x509.CertPool
	// report is what reports have to tell of the session's TLS.
	report tlsFacts

	// used says that there was a transaction before, and messages counts those that ended in
	// the peer's reply to a whole message.
	used     bool
	messages int
	// rested is when the connection was last used.
	rested time.Time
	// dirty says that the last transaction did not come to its end, so that the next one
	// begins with RSET (conformance T17).
	dirty bool
	// unfit says that the peer's replies are odd: what runs may end, but nothing new begins.
	unfit bool
	// ahead is the transaction whose commands are in flight behind the last message; nil for none.
	ahead *transaction
	// recalled says that the commands of a transaction are in flight that was given up.
	recalled bool
	// rtt is about how long a round trip takes.
	rtt time.Duration
	// dismissed says that the peer cannot have taken what is still in flight: it has said 421, or
	// was gone before.
	dismissed bool
	// others are addresses of other hosts of the site, the best first; visiting says that this
	// session is with one of them, for one message; fruitless counts visits without a use.
	others    []remote
	visiting  bool
	fruitless int
	// secrets are what must not be seen of what the peer says while we authenticate.
	secrets secrets
	// closed says that nothing more must be read or written.
	closed bool
	// transcript takes down what is said, nil where nobody wants to read it.
	transcript *relay.Transcript
}

var _ relay.Conn = (*conn)(nil)

func (t *Transport) newConn(c net.Conn, r *Route, to remote) *conn {
	n := &conn{t: t, route: r, remote: to, raw: c, rested: t.o.Now()}
	n.use(c)
	return n
}

// use switches to another layer. What the old one had buffered is gone: bytes that came
// before TLS must not count as said inside it (RFC 3207 section 6).
func (c *conn) use(nc net.Conn) {
	c.nc, c.r = nc, bufio.NewReaderSize(nc, maxReplyLine)
}

// Usable implements relay.Conn.
func (c *conn) Usable() bool {
	return !c.closed && !c.route.isOver() && !(c.unfit && c.used) && c.messages < c.mostMessages() && c.t.o.Now().Sub(c.rested) < c.t.o.IdleTimeout
}

// mostMessages is how many messages the connection may carry.
func (c *conn) mostMessages() int {
	limit := c.t.o.MessagesPerConnection
	if m := c.route.MessagesPerConnection; m > 0 {
		limit = min(limit, m)
	}
	if m := c.features.maxMessages; m > 0 {
		limit = min(limit, m)
	}
	return limit
}

// Remote implements relay.Conn.
func (c *conn) Remote() (host, addr string) { return c.remote.name, c.remote.address() }

// Close implements relay.Conn. The reply to QUIT is waited for a moment, so that the peer is
// not hung up on while it writes; what it says does not matter.
func (c *conn) Close() error {
	if c.closed {
		return nil
	}
	if c.ahead == nil && !c.recalled {
		c.command("QUIT", c.t.o.Timeouts.Quit)
	}
	c.abandon()
	return nil
}

// abandon ends the connection without a word. The socket goes first: TLS would wait to say
// goodbye to a peer that may not be reading.
func (c *conn) abandon() {
	c.closed = true
	c.raw.Close()
	c.nc.Close()
	c.transcript.End()
}

// until ends the connection when the context ends. The function it returns gives that up.
func (c *conn) until(ctx context.Context) func() bool {
	return context.AfterFunc(ctx, func() { c.raw.Close() })
}

// write sends the bytes within the time.
func (c *conn) write(p []byte, within time.Duration) error {
	return c.writeBy(p, c.t.o.Now().Add(within))
}

func (c *conn) writeBy(p []byte, deadline time.Time) error {
	if err := c.nc.SetWriteDeadline(deadline); err != nil {
		return err
	}
	_, err := c.nc.Write(p)
	return err
}

// read reads one reply within the time, which is for the whole of it: a peer that sends a byte
// a minute does not get more (conformance S08).
func (c *conn) read(within time.Duration) (answerLines, error) {
	return c.readBy(c.t.o.Now().Add(within))
}

func (c *conn) readBy(deadline time.Time) (answerLines, error) {
	if err := c.nc.SetReadDeadline(deadline); err != nil {
		return answerLines{}, err
	}
	a, err := readReply(c.r)
	c.unfit = c.unfit || a.mixed
	err = c.secrets.scrubFault(err)
	seen := c.secrets.scrub(a)
	c.heard(seen, err)
	if a.code/100 == 3 { // a challenge is for us alone, and has to be as it is
		return a, err
	}
	return seen, err
}

// command sends one line and reads its reply.
func (c *conn) command(line string, within time.Duration) (answerLines, error) {
	c.transcript.Command(relay.Us, line)
	return c.exchange(line, within)
}

// exchange is command without a word to the transcript.
func (c *conn) exchange(line string, within time.Duration) (answerLines, error) {
	if err := c.write([]byte(line+"\r\n"), within); err != nil {
		return answerLines{}, err
	}
	return c.read(within)
}

// describeTLS gives a session's encryption as relay.Origin does: "TLSv1.3, TLS_AES_128_GCM_SHA256".
func describeTLS(s tls.ConnectionState) string {
	version := fmt.Sprintf("TLSv1.%d", int(s.Version)-tls.VersionTLS10)
	return version + ", " + tls.CipherSuiteName(s.CipherSuite)
}
