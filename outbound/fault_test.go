package outbound_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
	"postrider/relay"
)

// faults are what a peer can do wrong at any phase.
var faults = []struct {
	name   string
	action outboundtest.Action
}{
	{"refuse", outboundtest.Action{Reply: "450 4.3.0 not now"}},
	{"hang", outboundtest.Action{Hang: true}},
	{"drop", outboundtest.Action{Drop: true}},
	{"garbage", outboundtest.Action{Reply: "\x00\x01 what?"}},
	{"trickle", outboundtest.Action{Trickle: faultTimeout / 4}},
}

// faultTimeout is the deadline of the phase with the fault. All others have a minute, so that what
// ends the wait is the phase's own deadline.
const faultTimeout = 200 * time.Millisecond

// cell is a phase of a session with what comes of each fault, in their order: the reply of a Dial
// that fails, or the codes of an attempt.
type cell struct {
	name string
	// phase acts up; before it, other phases may be led there.
	phase  outboundtest.Phase
	before map[outboundtest.Phase]string
	// bound is the deadline that ends it.
	bound func(*outbound.Timeouts) *time.Duration
	want  [5]string
	// script and edit change the peer and the options.
	script func(*testing.T, *outboundtest.Script)
	edit   func(*outbound.Options)
}

func faultCells() []cell {
	hello := func(o *outbound.Timeouts) *time.Duration { return &o.Hello }
	mail := func(o *outbound.Timeouts) *time.Duration { return &o.Mail }
	rcpt := func(o *outbound.Timeouts) *time.Duration { return &o.Rcpt }
	dot := func(o *outbound.Timeouts) *time.Duration { return &o.Dot }
	setback := [5]string{"450", "451 setback", "451 setback", "451 setback", "451 setback"}
	ambiguous := [5]string{"450", "451 ambiguous", "451 ambiguous", "451 ambiguous", "451 ambiguous"}
	withTLS := func(t *testing.T, s *outboundtest.Script) { s.TLS, _ = outboundtest.NewCertificate(t, "127.0.0.1") }
	withUsers := func(_ *testing.T, s *outboundtest.Script) { s.Users = map[string]string{"u": "p"} }
	withBDAT := func(_ *testing.T, s *outboundtest.Script) { s.Extensions = chunking }
	login := func(o *outbound.Options) {
		o.Routes[0].Auth, o.Routes[0].PlainAuth = &outbound.Credentials{User: "u", Password: "p"}, true
	}
	return []cell{
		{name: "greeting", phase: outboundtest.Greeting, bound: func(o *outbound.Timeouts) *time.Duration { return &o.Greeting },
			want: [5]string{"dial 4.3.0", "dial 4.4.2", "dial 4.4.2", "dial 4.5.0", "dial 4.4.2"}},
		{name: "EHLO", phase: outboundtest.EHLO, bound: hello, want: [5]string{"250", "dial 4.4.2", "dial 4.4.2", "dial 4.5.0", "dial 4.4.2"}},
		{name: "HELO", phase: outboundtest.HELO, before: map[outboundtest.Phase]string{outboundtest.EHLO: "502 5.5.1 what?"}, bound: hello,
			want: [5]string{"dial 4.3.0", "dial 4.4.2", "dial 4.4.2", "dial 4.5.0", "dial 4.4.2"}},
		{name: "STARTTLS", phase: outboundtest.STARTTLS, script: withTLS, bound: hello, want: [5]string{"250", "dial 4.4.2", "dial 4.4.2", "dial 4.5.0", "dial 4.4.2"}},
		{name: "AUTH", phase: outboundtest.AUTH, script: withUsers, edit: login, bound: hello,
			want: [5]string{"dial 4.3.0", "dial 4.4.2", "dial 4.4.2", "dial 4.5.0", "dial 4.4.2"}},
		{name: "MAIL", phase: outboundtest.MAIL, bound: mail, want: setback},
		{name: "RCPT", phase: outboundtest.RCPT, bound: rcpt, want: setback},
		{name: "DATA", phase: outboundtest.DATA, bound: func(o *outbound.Timeouts) *time.Duration { return &o.Data }, want: setback},
		{name: "dot", phase: outboundtest.Dot, bound: dot, want: ambiguous},
		{name: "QUIT", phase: outboundtest.QUIT, bound: func(o *outbound.Timeouts) *time.Duration { return &o.Quit }, want: [5]string{"250", "250", "250", "250", "250"}},
		{name: "chunking/MAIL", phase: outboundtest.MAIL, script: withBDAT, bound: mail, want: ambiguous},
		{name: "chunking/RCPT", phase: outboundtest.RCPT, script: withBDAT, bound: rcpt, want: ambiguous},
		{name: "chunking/BDAT", phase: outboundtest.BDAT, script: withBDAT, bound: dot, want: ambiguous},
	}
}

// Every fault in every phase has the right outcome within the phase's deadline, and then the
// next message goes through.
func TestFaults(t *testing.T) {
	t.Parallel()
	for i, f := range faults {
		for _, c := range faultCells() {
			t.Run(fmt.Sprintf("%s/%s", c.name, f.name), func(t *testing.T) {
				t.Parallel()
				script := outboundtest.Script{On: func(e outboundtest.Event) outboundtest.Action {
					if e.Phase == c.phase {
						return f.action
					}
					return outboundtest.Action{Reply: c.before[e.Phase]}
				}}
				if c.script != nil {
					c.script(t, &script)
				}
				meetFault(t, c, script, c.want[i])
			})
		}
	}
}

// resetTimeout is the deadline of RSET, which is that of MAIL as well: no message here goes through in
// less on a busy machine.
const resetTimeout = 2 * time.Second

// A fault in the reply to the RSET that clears up after a transaction costs the connection, and the
// message that was to come next nothing: it has not been tried.
func TestFaultsAtReset(t *testing.T) {
	t.Parallel()
	for _, f := range faults {
		for _, pipelining := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/pipelining=%t", f.name, pipelining), func(t *testing.T) {
				t.Parallel()
				fault := f.action
				if fault.Trickle > 0 {
					fault.Trickle = resetTimeout / 4
				}
				script := outboundtest.Script{On: func(e outboundtest.Event) outboundtest.Action {
					switch {
					case e.Phase == outboundtest.DATA && e.Session == 1:
						return outboundtest.Action{Reply: "451 4.3.0 later"}
					case e.Phase == outboundtest.RSET:
						return fault
					}
					return outboundtest.Action{}
				}}
				if !pipelining {
					script = plain(script)
				}
				p := outboundtest.NewPeer(t, script)
				s := &sockets{dial: new(net.Dialer).DialContext}
				tr := smart(t, func(o *outbound.Options) {
					o.Dial, o.Timeouts = s.Dial, minutes()
					o.Timeouts.Mail, o.Timeouts.Quit = resetTimeout, faultTimeout
				}, p)
				c := dial(t, tr)
				wantCodes(t, deliver(t, c, transfer("x\r\n", "a@to.test")), "451")
				begun := time.Now()
				wantCodes(t, deliver(t, c, transfer("x\r\n", "a@to.test")), "451 untried")
				if took := time.Since(begun); took > 30*time.Second {
					t.Errorf("took %s", took)
				}
				if c.Usable() {
					t.Error("the connection is used further")
				}
				c.Close()
				if n := s.open.Load(); n != 0 {
					t.Errorf("%d connections are left", n)
				}
				if got := attemptAt(t, tr); got != "250" {
					t.Errorf("over another connection: %q, want 250", got)
				}
			})
		}
	}
}

// minutes are timeouts that nothing here takes.
func minutes() outbound.Timeouts {
	const w = time.Minute
	return outbound.Timeouts{Connect: w, Doubtful: w, Greeting: w, Hello: w, Mail: w, Rcpt: w, Data: w, Block: w, Dot: w, Quit: w}
}

// sockets counts connections that are open.
type sockets struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)
	open atomic.Int32
}

type socket struct {
	*net.TCPConn
	of   *sockets
	once sync.Once
}

func (s *sockets) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := s.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	s.open.Add(1)
	return &socket{TCPConn: c.(*net.TCPConn), of: s}, nil
}

func (c *socket) Close() error {
	c.once.Do(func() { c.of.open.Add(-1) })
	return c.TCPConn.Close()
}

// meetFault makes an attempt at a faulty peer, and another when it has recovered. Afterwards no
// connection is left.
func meetFault(t *testing.T, c cell, script outboundtest.Script, want string) {
	t.Helper()
	p := outboundtest.NewPeer(t, script)
	s := &sockets{dial: new(net.Dialer).DialContext}
	tr := smart(t, func(o *outbound.Options) {
		o.Routes[0].TLS, o.Dial, o.Timeouts = outbound.TLSMay, s.Dial, minutes()
		*c.bound(&o.Timeouts) = faultTimeout
		if c.edit != nil {
			c.edit(o)
		}
	}, p)
	begun := time.Now()
	if got := attemptAt(t, tr); got != want {
		t.Errorf("outcome %q, want %q", got, want)
	}
	// No phase but one was slow; the rest is for a busy machine.
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("took %s", took)
	}
	if n := s.open.Load(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
	script.On = nil
	p.SetScript(script)
	if got := attemptAt(t, tr); got != "250" {
		t.Errorf("after the fault: %q, want 250", got)
	}
}

// A peer that stops reading in the middle of a message, or hangs up, or that is not there, holds
// nobody longer than the phase's deadline.
func TestFaultsOfTheWire(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("0123456789abcdef\r\n", 1<<20)
	for _, tt := range []struct {
		name   string
		action outboundtest.Action
		want   string
	}{
		{"hang", outboundtest.Action{Hang: true, After: 1000}, "451 setback"},
		{"drop", outboundtest.Action{Drop: true, After: 1000}, "451 setback"},
		{"refuse", outboundtest.Action{Drop: true, After: 1000, Reply: "554 5.7.1 stop"}, ""},
	} {
		t.Run("body/"+tt.name, func(t *testing.T) {
			t.Parallel()
			p := outboundtest.NewPeer(t, outboundtest.Script{On: outboundtest.At(outboundtest.Body, tt.action)})
			s := &sockets{dial: new(net.Dialer).DialContext}
			tr := smart(t, func(o *outbound.Options) {
				o.Dial, o.Timeouts = s.Dial, minutes()
				o.Timeouts.Block, o.Timeouts.Quit = faultTimeout, faultTimeout
			}, p)
			c := dial(t, tr)
			// A peer that resets the connection may take back the reason that it gave.
			if got := codes(deliver(t, c, transfer(large, "a@to.test"))); got != tt.want && (tt.want != "" || got != "554" && got != "451 setback") {
				t.Errorf("outcome %q, want %q", got, tt.want)
			}
			c.Close()
			if n := s.open.Load(); n != 0 {
				t.Errorf("%d connections are left", n)
			}
		})
	}
	for name, dial := range map[string]func(context.Context, string, string) (net.Conn, error){
		"refuse": func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED },
		"hang": func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
	} {
		t.Run("connect/"+name, func(t *testing.T) {
			t.Parallel()
			tr := smart(t, func(o *outbound.Options) {
				o.Routes[0].Hosts, o.Dial, o.Timeouts = []string{"192.0.2.1"}, dial, minutes()
				o.Timeouts.Connect = faultTimeout
			})
			if r := dialFault(t, tr); r.Enhanced.String() != "4.4.1" {
				t.Errorf("reply %s, want 4.4.1", r)
			}
		})
	}
}

// attemptAt dials, delivers one message and closes.
func attemptAt(t *testing.T, tr *outbound.Transport) string {
	t.Helper()
	c, err := tr.Dial(t.Context(), resolve(t, tr, relay.Destination{Route: routeSmart}))
	if err != nil {
		r := asReply(t, err)
		if !r.Temporary() {
			t.Errorf("reply %s, want temporary", r)
		}
		return "dial " + r.Enhanced.String()
	}
	defer c.Close()
	return codes(deliver(t, c, transfer("x\r\n", "a@to.test")))
}

// TLS that does not work is no reason to fail where it is not asked for, and every reason where
// it is; from the start of the connection there is nothing else to go on with.
func TestBadTLS(t *testing.T) {
	t.Parallel()
	good, _ := outboundtest.NewCertificate(t, "127.0.0.1")
	old := good.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	for _, tt := range []struct {
		name string
		// reply is what comes in place of a handshake; "" for nothing.
		reply  string
		config *tls.Config
		// want is what comes of it at may, encrypt and verify, and over TLS from the start.
		want [4]string
	}{
		{"garbage", "this is not TLS at all, by any means\r\n", nil, [4]string{"250", "dial 4.7.5", "dial 4.7.5", "dial 4.7.5"}},
		{"silence", "", nil, [4]string{"250", "dial 4.7.5", "dial 4.7.5", "dial 4.7.5"}},
		{"bad certificate", "", good, [4]string{"250", "250", "dial 4.7.5", "250"}},
		{"old version", "", old, [4]string{"250", "dial 4.7.5", "dial 4.7.5", "250"}},
	} {
		for i, level := range []outbound.TLSLevel{outbound.TLSMay, outbound.TLSEncrypt, outbound.TLSVerify, outbound.TLSMay} {
			implicit := i == 3
			t.Run(fmt.Sprintf("%s/%s/implicit=%t", tt.name, level, implicit), func(t *testing.T) {
				t.Parallel()
				p := outboundtest.NewPeer(t, badTLS(tt.reply, tt.config, implicit))
				s := &sockets{dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, network, p.Addr())
				}}
				tr := smart(t, func(o *outbound.Options) {
					o.Dial, o.Timeouts = s.Dial, minutes()
					o.Routes[0].TLS, o.Timeouts.Hello, o.Timeouts.Quit = level, 4*faultTimeout, faultTimeout
					if implicit {
						o.Routes[0].Hosts = []string{"127.0.0.1:465"}
					}
				}, p)
				if got := attemptAt(t, tr); got != tt.want[i] {
					t.Errorf("outcome %q, want %q", got, tt.want[i])
				}
				if n := s.open.Load(); n != 0 {
					t.Errorf("%d connections are left", n)
				}
			})
		}
	}
}

// badTLS is a peer with the TLS configuration, or one that offers TLS and has none.
func badTLS(reply string, config *tls.Config, implicit bool) outboundtest.Script {
	if config != nil {
		return outboundtest.Script{TLS: config, ImplicitTLS: implicit}
	}
	return outboundtest.Script{
		Extensions: []string{"STARTTLS"},
		On: func(e outboundtest.Event) outboundtest.Action {
			switch {
			case e.Phase == outboundtest.Greeting && implicit && reply == "":
				return outboundtest.Action{Hang: true}
			case e.Phase == outboundtest.Greeting && implicit:
				return outboundtest.Action{Reply: reply, Drop: true}
			case e.Phase == outboundtest.STARTTLS && reply != "":
				return outboundtest.Action{Reply: "220 go on\r\n" + reply, Drop: true}
			case e.Phase == outboundtest.STARTTLS:
				return outboundtest.Action{Reply: "220 go on"}
			case e.Phase == outboundtest.Unknown: // the client's hello
				return outboundtest.Action{Hang: true}
			}
			return outboundtest.Action{}
		},
	}
}

// slowReader is a connection on which each write takes two minutes of a clock that does not
// run otherwise.
type slowReader struct {
	net.Conn
	mu       *sync.Mutex
	now      *time.Time
	deadline time.Time
	late     bool
}

func (c *slowReader) Read(p []byte) (int, error) {
	if c.late {
		return 0, os.ErrDeadlineExceeded
	}
	return c.Conn.Read(p)
}

func (c *slowReader) SetWriteDeadline(at time.Time) error {
	c.deadline = at
	return nil
}

func (c *slowReader) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*c.now = c.now.Add(2 * time.Minute)
	if c.now.After(c.deadline) {
		c.late = true
		return 0, os.ErrDeadlineExceeded
	}
	return c.Conn.Write(p)
}

// A peer that takes every block in time, and a message never, holds a connection no longer than
// the least rate allows (conformance S08).
func TestSlowReader(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	begun := time.Now()
	now := begun
	p := outboundtest.NewPeer(t, outboundtest.Script{})
	tr := smart(t, func(o *outbound.Options) {
		o.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
		o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, address)
			return &slowReader{Conn: c, mu: &mu, now: &now}, err
		}
	}, p)
	body := strings.Repeat("0123456789abcdef\r\n", 1<<19)
	pieces := struct{ io.ReadSeeker }{strings.NewReader(body)} // as a spool reads it
	wantCodes(t, deliver(t, dial(t, tr), transferFrom(pieces, int64(len(body)), "a@to.test")), "451 setback")
	mu.Lock()
	defer mu.Unlock()
	if took := now.Sub(begun); took > time.Hour {
		t.Errorf("took %s for %d bytes", took, len(body))
	}
}
