package outboundtest

import (
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Peer is an SMTP server on loopback. It says what its script tells it and remembers what
// it was sent.
type Peer struct {
	tb       testing.TB
	listener net.Listener
	done     chan struct{}
	sessions sync.WaitGroup

	mu       sync.Mutex
	script   Script
	conns    map[net.Conn]struct{}
	records  []*Session
	messages []Message
	count    int
	changed  chan struct{} // closed and replaced when something was recorded
	closed   bool
}

// Session is what a peer remembers of a connection.
type Session struct {
	// Commands are the lines as they were sent, without line ends. The lines of an AUTH
	// dialogue are among them.
	Commands []string
	// Client is the address that the connection came from.
	Client string
	// TLS says that the session was encrypted, and ServerName is what the client asked for.
	TLS        bool
	ServerName string
	// Turns counts how often the peer had answered everything and waited for the client:
	// the round trips, including that of the greeting.
	Turns int
	// Early says that the client sent something before it could have read the reply that
	// it had to wait for: after EHLO, HELO, STARTTLS or DATA, or at all without PIPELINING.
	Early bool
	// Messages counts those that were read to their end.
	Messages int
	// Quit says that the client ended the session with QUIT; Closed, that it is over.
	Quit, Closed bool
}

// Message is what a peer remembers of a message that was read to its end and answered 2xx.
type Message struct {
	// Session counts from 1.
	Session int
	// Mail is the MAIL command's line, and Rcpt are those of the RCPT commands that were accepted.
	Mail string
	Rcpt []string
	// From and To are the addresses alone.
	From string
	To   []string
	// Raw is what was sent after the 354, the final dot's line included.
	Raw []byte
	// Body is the message: Raw without the dots of the transport (RFC 5321 section 4.5.2).
	Body []byte
}

// NewPeer starts a peer. It ends with the test.
func NewPeer(tb testing.TB, s Script) *Peer {
	tb.Helper()
	if s.Listen == "" {
		s.Listen = "127.0.0.1:0"
	}
	network, address := "tcp", s.Listen
	if path, ok := strings.CutPrefix(s.Listen, "unix:"); ok {
		network, address = "unix", path
	}
	l, err := net.Listen(network, address)
	if err != nil {
		tb.Fatalf("listen for an SMTP peer: %v", err)
	}
	p := &Peer{
		tb: tb, listener: l, script: s, done: make(chan struct{}),
		conns: make(map[net.Conn]struct{}), changed: make(chan struct{}),
	}
	tb.Cleanup(p.Close)
	p.sessions.Go(p.accept)
	return p
}

func (p *Peer) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			c.Close()
			return
		}
		p.conns[c] = struct{}{}
		record := &Session{Client: c.RemoteAddr().String()}
		p.records = append(p.records, record)
		s := newSession(p, c, len(p.records), record)
		p.mu.Unlock()
		p.update(func() {}) // there is a session
		p.sessions.Go(func() {
			s.run()
			p.mu.Lock()
			delete(p.conns, c)
			p.mu.Unlock()
			p.update(func() { record.Closed = true })
		})
	}
}

// Close stops listening, ends all sessions and waits for them. It may be called again.
func (p *Peer) Close() {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.done)
	}
	p.listener.Close()
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.sessions.Wait()
}

// Addr is the address that the peer listens on, host and port.
func (p *Peer) Addr() string {
	if a := p.listener.Addr(); a.Network() != "unix" {
		return a.String()
	}
	return "unix:" + p.listener.Addr().String()
}

// Port is the port of Addr.
func (p *Peer) Port() int { return p.listener.Addr().(*net.TCPAddr).Port }

// SetScript changes how the peer behaves from the next command or connection on. Listen is
// not looked at again.
func (p *Peer) SetScript(s Script) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.script = s
}

func (p *Peer) currentScript() Script {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.script
}

// Sessions returns what is known of all sessions so far.
func (p *Peer) Sessions() []Session {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]Session, len(p.records))
	for i, r := range p.records {
		list[i] = *r
		list[i].Commands = slices.Clone(r.Commands)
	}
	return list
}

// Messages returns the messages that were accepted so far, in order.
func (p *Peer) Messages() []Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.messages)
}

// Count is the number of messages accepted so far, also where the script forgets them.
func (p *Peer) Count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

// Wait blocks until the condition holds; it is looked at after everything that happens. The
// test fails when the test binary's deadline comes first, or the peer ends.
func (p *Peer) Wait(what string, condition func() bool) {
	p.tb.Helper()
	for {
		p.mu.Lock()
		changed := p.changed
		p.mu.Unlock()
		if condition() {
			return
		}
		select {
		case <-changed:
		case <-p.tb.Context().Done():
			p.tb.Fatalf("test ended while the peer was waiting for %s", what)
		case <-p.done:
			p.tb.Fatalf("peer ended while it was waiting for %s", what)
		}
	}
}

// WaitMessages blocks until n messages have been accepted.
func (p *Peer) WaitMessages(n int) {
	p.tb.Helper()
	p.Wait("messages", func() bool { return p.Count() >= n })
}

// update changes what is remembered and wakes those that wait for it.
func (p *Peer) update(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	close(p.changed)
	p.changed = make(chan struct{})
}
