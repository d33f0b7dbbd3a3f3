package outbound_test

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"syscall"
	"testing"
	"time"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
	"postrider/relay"
)

// What was sent ahead is given back when the reply before it does not come, and the peer does not get
// it; that reply still counts.
func TestRecall(t *testing.T) {
	t.Parallel()
	config, _ := outboundtest.NewCertificate(t, "127.0.0.1")
	for extensions, config := range map[string]*tls.Config{"": nil, "CHUNKING": nil, "over TLS": config} {
		come := make(chan struct{})
		wait := outboundtest.Action{Wait: come}
		p := outboundtest.NewPeer(t, outboundtest.Script{TLS: config, Extensions: append([]string{extensions}, outboundtest.DefaultExtensions...), On: func(e outboundtest.Event) outboundtest.Action {
			if (e.Phase == outboundtest.Dot || e.Phase == outboundtest.BDAT) && e.Session == 1 && e.N == 1 {
				return wait
			}
			return outboundtest.Action{}
		}})
		tr := smart(t, func(o *outbound.Options) {
			o.Timeouts.Dot = time.Second
			if config != nil {
				o.Routes[0].TLS = outbound.TLSEncrypt
			}
		}, p)
		c := dial(t, tr)
		list := letters(2, "a@to.test")
		list[1].Recall = func() { close(come) }
		a := c.Deliver(t.Context(), list[0], func() (relay.Transfer, bool) { return list[1], true })
		wantCodes(t, a, "250")
		if c.Usable() {
			t.Error("usable with commands in flight")
		}
		c.Close()
		p.Wait("the end", func() bool { return p.Sessions()[0].Closed })
		wantTaken(t, p, "0")
		list[1].Recall = nil
		if got := stream(t, dial(t, tr), list[1]); !slices.Equal(got, []string{"250"}) {
			t.Errorf("afterwards: %q", got)
		}
		wantTaken(t, p, "01")
	}
}

// A reply in time recalls nothing.
func TestNoRecall(t *testing.T) {
	t.Parallel()
	p := outboundtest.NewPeer(t, outboundtest.Script{})
	list := letters(5, "a@to.test")
	for i := range list {
		list[i].Recall = func() { t.Error("recalled") }
	}
	if got := stream(t, dial(t, smart(t, nil, p)), list...); !slices.Equal(got, []string{"250", "250", "250", "250", "250"}) {
		t.Errorf("attempts = %q", got)
	}
}

// late is a connection on which what is written takes its time.
type late struct {
	net.Conn
	clock *clock
	time  time.Duration
}

func (c late) Write(p []byte) (int, error) {
	c.clock.pass(c.time)
	return c.Conn.Write(p)
}

// SyscallConn implements syscall.Conn.
func (c late) SyscallConn() (syscall.RawConn, error) { return c.Conn.(syscall.Conn).SyscallConn() }

// away puts all hosts at a distance, by a clock that moves with what is written and not with how busy the
// machine is.
func away(o *outbound.Options, distance time.Duration) {
	c := newClock()
	o.Now = c.time
	o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, address)
		return late{nc, c, distance}, err
	}
}

func farAway(o *outbound.Options) { away(o, 10*time.Millisecond) }

// Over a long way small messages go out whole behind another; over a short one they do not, because
// they could not be given back.
func TestWholeOverLongWayOnly(t *testing.T) {
	t.Parallel()
	for name, far := range map[string]bool{"BDAT RSET MAIL RCPT BDAT": true, "BDAT RSET MAIL RCPT": false} {
		p := outboundtest.NewPeer(t, withChunking(outboundtest.Script{}))
		tr := smart(t, func(o *outbound.Options) {
			away(o, 0)
			if far {
				farAway(o)
			}
		}, p)
		c := dial(t, tr)
		list := letters(2, "a@to.test")
		c.Deliver(t.Context(), list[0], func() (relay.Transfer, bool) { return list[1], true })
		want := "EHLO MAIL RCPT " + name
		p.Wait(want, func() bool { return verbs(p.Sessions()[0]) == want })
	}
}
