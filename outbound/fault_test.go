package outbound_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
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

// faultTimeout is the deadline of every phase.
const faultTimeout = 60 * time.Millisecond

// faultOutcomes are what comes of each fault, in their order: the reply of a Dial that fails, or
// the codes of an attempt.
var faultOutcomes = map[outboundtest.Phase][5]string{
	outboundtest.Greeting: {"dial 4.3.0", "dial 4.4.2", "dial 4.4.2", "dial 4.5.0", "dial 4.4.2"},
	outboundtest.EHLO:     {"250", "dial 4.4.2", "dial 4.4.2", "dial 4.5.0", "dial 4.4.2"},
	outboundtest.STARTTLS: {"250", "dial 4.4.2", "dial 4.4.2", "dial 4.5.0", "dial 4.4.2"},
	outboundtest.MAIL:     {"450", "451 setback", "451 setback", "451 setback", "451 setback"},
	outboundtest.RCPT:     {"450", "451 setback", "451 setback", "451 setback", "451 setback"},
	outboundtest.DATA:     {"450", "451 setback", "451 setback", "451 setback", "451 setback"},
	outboundtest.Dot:      {"450", "451 ambiguous", "451 ambiguous", "451 ambiguous", "451 ambiguous"},
	outboundtest.QUIT:     {"250", "250", "250", "250", "250"},
}

// chunkOutcomes are those of a message by BDAT, all of which is in flight with MAIL.
var chunkOutcomes = map[outboundtest.Phase][5]string{
	outboundtest.MAIL: {"450", "451 ambiguous", "451 ambiguous", "451 ambiguous", "451 ambiguous"},
	outboundtest.RCPT: {"450", "451 ambiguous", "451 ambiguous", "451 ambiguous", "451 ambiguous"},
	outboundtest.BDAT: {"450", "451 ambiguous", "451 ambiguous", "451 ambiguous", "451 ambiguous"},
}

// Every fault in every phase has the right outcome within the phase's deadline, and then the
// next message goes through.
func TestFaults(t *testing.T) {
	t.Parallel()
	for i, f := range faults {
		for phase, want := range faultOutcomes {
			t.Run(fmt.Sprintf("%s/%s", phase, f.name), func(t *testing.T) {
				t.Parallel()
				script := outboundtest.Script{On: outboundtest.At(phase, f.action)}
				if phase == outboundtest.STARTTLS {
					script.TLS, _ = outboundtest.NewCertificate(t, "127.0.0.1")
				}
				meetFault(t, script, want[i])
			})
		}
		for phase, want := range chunkOutcomes {
			t.Run(fmt.Sprintf("chunking/%s/%s", phase, f.name), func(t *testing.T) {
				t.Parallel()
				meetFault(t, withChunking(outboundtest.Script{On: outboundtest.At(phase, f.action)}), want[i])
			})
		}
	}
}

// meetFault makes an attempt at a faulty peer, and another when it has recovered.
func meetFault(t *testing.T, script outboundtest.Script, want string) {
	t.Helper()
	p := outboundtest.NewPeer(t, script)
	tr := smart(t, func(o *outbound.Options) {
		o.Routes[0].TLS = outbound.TLSMay
		w := faultTimeout
		o.Timeouts = outbound.Timeouts{
			Connect: w, Greeting: w, Hello: w, Mail: w, Rcpt: w, Data: w, Block: w, Dot: w, Quit: w,
		}
	}, p)
	begun := time.Now()
	if got := attemptAt(t, tr); got != want {
		t.Errorf("outcome %q, want %q", got, want)
	}
	// No phase but one was slow; the rest is for a busy machine.
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
	script.On = nil
	p.SetScript(script)
	if got := attemptAt(t, tr); got != "250" {
		t.Errorf("after the fault: %q, want 250", got)
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
// it is.
func TestBadTLS(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		level outbound.TLSLevel
		reply string
		want  string
	}{
		{"garbage", outbound.TLSMay, "220 go on\r\nthis is not TLS at all, by any means\r\n", "250"},
		{"garbage", outbound.TLSEncrypt, "220 go on\r\nthis is not TLS at all, by any means\r\n", "dial 4.7.5"},
		{"silence", outbound.TLSMay, "", "250"},
		{"silence", outbound.TLSEncrypt, "", "dial 4.7.5"},
	} {
		t.Run(fmt.Sprintf("%s/%s", tt.name, tt.level), func(t *testing.T) {
			t.Parallel()
			p := outboundtest.NewPeer(t, outboundtest.Script{
				Extensions: []string{"STARTTLS"},
				On: func(e outboundtest.Event) outboundtest.Action {
					switch {
					case e.Phase == outboundtest.STARTTLS && tt.reply != "":
						return outboundtest.Action{Reply: tt.reply, Drop: true}
					case e.Phase == outboundtest.STARTTLS:
						return outboundtest.Action{Reply: "220 go on"}
					case e.Phase == outboundtest.Unknown: // the client's hello
						return outboundtest.Action{Hang: true}
					}
					return outboundtest.Action{}
				},
			})
			tr := smart(t, func(o *outbound.Options) {
				o.Routes[0].TLS, o.Timeouts.Hello = tt.level, 4*faultTimeout
			}, p)
			if got := attemptAt(t, tr); got != tt.want {
				t.Errorf("outcome %q, want %q", got, tt.want)
			}
		})
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
