package inbound_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postrider/inbound"
	"postrider/relay"
)

// relaying lets loopback clients, clients without an address and users relay, as the policy does.
func relaying(h *house) {
	h.policy.OnRcpt = func(o *relay.Origin, _ *relay.Envelope, _ relay.Recipient) *relay.Reply {
		if o.User != "" || !o.Client.IsValid() || o.Client.IsLoopback() {
			return nil
		}
		return relay.NewReply(554, relay.EnhancedCode{5, 7, 1}, "Relay access denied")
	}
}

// A filter that does not know its client's address must not make a host of ours of it.
func TestXClientUnavailable(t *testing.T) {
	h := withUsers(t, inbound.AuthOptional)
	h.options.Listeners[0].XClient = loopback
	relaying(h)
	c := h.open().run().greeted()
	c.send("XCLIENT ADDR=[UNAVAILABLE] NAME=[UNAVAILABLE]\r\n")
	c.codes("220")
	c.send("HELO x\r\n")
	c.codes("250")
	c.send("MAIL FROM:<a@evil.example>\r\n")
	c.codes("250")
	c.send("RCPT TO:<b@example.org>\r\n")
	c.codes("554")
}

// What the filter is known by is not its client's.
func TestXClientLogin(t *testing.T) {
	h := withUsers(t, inbound.AuthOptional)
	h.options.Listeners[0].XClient = loopback
	relaying(h)
	c := h.open().run().greeted()
	c.send("AUTH PLAIN AGJvYgBzZWNyZXQ=\r\n") // bob, who may send as bob@example.com only
	c.codes("235")
	c.send("XCLIENT ADDR=203.0.113.5 NAME=evil.example\r\n")
	c.codes("220")
	c.send("HELO x\r\n")
	c.codes("250")
	c.send("MAIL FROM:<a@evil.example>\r\n")
	c.codes("250")
	c.send("RCPT TO:<b@example.org>\r\n")
	c.codes("554")
}

// A user named by a filter is held to what the users file says of it.
func TestXClientLoginSenders(t *testing.T) {
	h := withUsers(t, inbound.AuthOptional)
	h.options.Listeners[0].XClient = loopback
	relaying(h)
	c := h.open().run().greeted()
	c.send("XCLIENT ADDR=203.0.113.5 LOGIN=bob\r\n")
	c.codes("220")
	c.send("HELO x\r\n")
	c.codes("250")
	c.talk("C: MAIL FROM:<a@evil.example>\nS: 553 5.7.1 Sender address not allowed for this user")
	c.talk("C: MAIL FROM:<bob@example.com>\nS: 250 2.1.0 Ok\nC: RCPT TO:<b@example.org>\nS: 250 2.1.5 Ok")
}

// So is one that a certificate names, until it authenticates as another.
func TestCertificateSenders(t *testing.T) {
	ours := newAuthority(t)
	h := withUsers(t, inbound.AuthOptional)
	h.options.Listeners[0].TLS = inbound.TLSOptions{
		Certificates: []inbound.Certificate{ours.issue("localhost", "", "localhost")}, ClientCA: ours.file(), Mode: inbound.TLSStartTLS,
	}
	pair := ours.load(ours.issue("bob", "bob"))
	config := ours.trust("localhost")
	config.Certificates = []tls.Certificate{pair}
	c := h.open().run().greeted()
	c.talk("C: STARTTLS\nS: 220 2.0.0 Ready to start TLS")
	c.startTLS(config)
	c.send("EHLO x\r\n")
	c.ehlo()
	c.talk("C: MAIL FROM:<a@evil.example>\nS: 553 5.7.1 Sender address not allowed for this user")
	c.talk("C: MAIL FROM:<bob@example.com>\nS: 250 2.1.0 Ok\nC: RSET\nS: 250 2.0.0 Ok")
	c.talk("C: AUTH PLAIN AGFubgBzZWNyZXQ=\nS: 235 2.7.0 Authentication succeeded") // ann, who may send as anybody
	c.talk("C: MAIL FROM:<a@evil.example>\nS: 250 2.1.0 Ok")
}

type onePipe struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *onePipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *onePipe) Close() error   { close(p.done); return nil }
func (p *onePipe) Addr() net.Addr { return &net.TCPAddr{} }

// A client that does not read our last words holds up nobody's shutdown.
func TestHangUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, hangUp)
}

func hangUp(t *testing.T) {
	h := newHouse(t)
	h.options.Grace = 100 * time.Millisecond
	p := &onePipe{make(chan net.Conn), make(chan struct{})}
	h.openAt(p)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.server.Run(ctx) }()
	ours, theirs := net.Pipe()
	p.conns <- theirs
	buf := make([]byte, 100)
	ours.Read(buf) // the greeting
	io.WriteString(ours, "QUIT\r\n")
	synctest.Wait() // the session is about to say its last words
	cancel()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("5 s after the end of a grace of 100 ms, Run waits for a client that does not read")
		ours.Close()
		<-ended
	}
}

// A wrong path must not cost a file.
func TestSocketPath(t *testing.T) {
	h := newHouse(t)
	path := filepath.Join(t.TempDir(), "precious")
	os.WriteFile(path, []byte("x"), 0o600)
	h.options.Listeners[0].Address = "unix:" + path
	h.receive()
	s, err := inbound.New(h.options)
	if err == nil {
		s.Close()
		t.Error("listens in the place of a file")
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "x" {
		t.Errorf("the file is gone: %v", err)
	}
}

// Who may not relay cannot use up what a sender may send.
func TestSenderRate(t *testing.T) {
	h := withUsers(t, inbound.AuthOptional)
	h.options.Listeners[0].XClient = loopback
	h.options.Limits.RatePerSender.N, h.options.Limits.RatePerSender.Per = 2, time.Hour
	relaying(h)
	h.open().run()
	c := h.greeted()
	c.send("XCLIENT ADDR=203.0.113.5\r\n")
	c.codes("220")
	c.send("HELO x\r\n")
	c.codes("250")
	for range 2 {
		c.send("MAIL FROM:<ceo@example.com>\r\n")
		c.codes("250")
		c.send("RCPT TO:<b@example.org>\r\n")
		c.codes("554")
		c.send("RSET\r\n")
		c.codes("250")
	}
	ok := h.greeted()
	ok.send("MAIL FROM:<ceo@example.com>\r\n")
	ok.codes("250")
}

// A sender's rate holds, however many sessions begin a message before one of them names a recipient.
func TestSenderRateOfManySessions(t *testing.T) {
	t.Parallel()
	for name, set := range map[relay.Reason]func(*inbound.Limits){
		relay.ReasonRatePerSender:          func(l *inbound.Limits) { l.RatePerSender.N, l.RatePerSender.Per = 2, time.Hour },
		relay.ReasonRecipientRatePerSender: func(l *inbound.Limits) { l.RecipientRatePerSender.N, l.RecipientRatePerSender.Per = 2, time.Hour },
	} {
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			set(&h.options.Limits)
			h.open().run()
			var begun []*client
			for range 5 {
				c := h.greeted()
				c.send("MAIL FROM:<a@example.com>\r\n")
				c.codes("250")
				begun = append(begun, c)
			}
			var got []string
			for _, c := range begun {
				c.send("RCPT TO:<b@example.org>\r\n")
				got = append(got, c.line()[:3])
			}
			if want := []string{"250", "250", "45", "45", "45"}; !slices.EqualFunc(got, want, strings.HasPrefix) {
				t.Errorf("got %v, want two accepted", got)
			}
			if refused := h.observer.AllRefused(); len(refused) != 3 || refused[0].Reason != name {
				t.Errorf("refused %v, want three for %s", refused, name)
			}
		})
	}
}

// A message that is refused at MAIL was none: the client's rate is for those that are begun.
func TestRateOfMailRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.options.Limits.RatePerClient.N, h.options.Limits.RatePerClient.Per = 1, time.Hour
	h.options.Limits.MessageSize = 1000
	c := h.open().run().greeted()
	for range 3 {
		c.send("MAIL FROM:<a@example.com> SIZE=2000\r\n")
		c.codes("552")
	}
	c.send("MAIL FROM:<a@example.com>\r\n")
	c.codes("250")
}

type farConn struct {
	net.Conn
	from string
}

func (f farConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(f.from))
}

// From a balancer on another host passwords come over the network, whatever the client is.
func TestFarBalancer(t *testing.T) {
	h := withUsers(t, inbound.AuthOptional)
	h.options.Listeners[0].ProxyProtocol = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	p := &onePipe{make(chan net.Conn), make(chan struct{})}
	h.openAt(p).run()
	ours, theirs := net.Pipe()
	p.conns <- farConn{theirs, "10.0.0.5:1000"}
	c := newClient(t, ours)
	c.send("PROXY TCP4 127.0.0.1 127.0.0.1 1000 25\r\n")
	c.codes("220")
	c.send("EHLO x\r\n")
	for _, l := range c.ehlo() {
		if len(l) > 3 && l[:4] == "AUTH" {
			t.Errorf("offers %q in clear", l)
		}
	}
	c.send("AUTH PLAIN AGJvYgBzZWNyZXQ=\r\n")
	c.codes("538")
	c.conn.Close()
}
