package outbound_test

import (
	"context"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
	"postrider/relay"
)

// dials are those of a Transport, the first host of which does as it is told.
type dials struct {
	mu    sync.Mutex
	first func(ctx context.Context) (net.Conn, error)
	// probed is sent to after each connection to the first host from the background.
	probed chan error
	tried  []string
}

const firstHost = "192.0.2.1:25"

// mark tells foreground dials from probes.
type mark struct{}

func (d *dials) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d.mu.Lock()
	first := d.first
	foreground := ctx.Value(mark{}) != nil
	if foreground {
		d.tried = append(d.tried, address)
	}
	d.mu.Unlock()
	if address != firstHost {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	c, err := first(ctx)
	if !foreground {
		d.probed <- err
	}
	return c, err
}

func (d *dials) set(first func(context.Context) (net.Conn, error)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.first = first
}

// foreground dials once, and says which addresses that tried.
func (d *dials) foreground(t *testing.T, tr *outbound.Transport) []string {
	t.Helper()
	d.mu.Lock()
	d.tried = nil
	d.mu.Unlock()
	c, err := tr.Dial(context.WithValue(t.Context(), mark{}, true), resolve(t, tr, relay.Destination{Route: routeSmart}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tried
}

func refuseDial(context.Context) (net.Conn, error) { return nil, errNoDial }

// While the Transport runs, mail never waits for a host that failed before: whether it is back is found
// out in the background, at growing intervals, and when it is, it is in its place again. What does not
// answer holds up neither mail nor the end.
func TestProbe(t *testing.T) {
	t.Parallel()
	clock := newClock()
	back, spare := outboundtest.NewPeer(t, outboundtest.Script{}), outboundtest.NewPeer(t, outboundtest.Script{})
	d := &dials{first: refuseDial, probed: make(chan error, 10)}
	tr := smart(t, func(o *outbound.Options) {
		o.Now, o.Dial = clock.time, d.dial
		o.Routes[0].Hosts = []string{firstHost, spare.Addr()}
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- tr.Run(ctx) }()
	step := func(what string, pass time.Duration, probed bool, tried ...string) {
		t.Helper()
		clock.pass(pass)
		if got := d.foreground(t, tr); len(got) != len(tried) || got[0] != tried[0] {
			t.Errorf("%s: mail tried %q, want %q", what, got, tried)
		}
		if probed {
			<-d.probed
		} else if len(d.probed) > 0 {
			t.Errorf("%s: probed", what)
		}
	}
	for !tr.Probing() {
		runtime.Gosched()
	}
	// A probe has ended when what it found is known.
	failures := func(n int) {
		t.Helper()
		site := resolve(t, tr, relay.Destination{Route: routeSmart})
		for tr.Examine(site)[0].Failures != n {
			runtime.Gosched()
		}
	}
	step("first met", 0, false, firstHost, spare.Addr())
	step("left for last", 59*time.Second, false, spare.Addr())
	step("its time is up", time.Second, true, spare.Addr())
	failures(2)
	step("failed again", time.Minute, false, spare.Addr())

	hangs, release := make(chan struct{}), make(chan struct{})
	d.set(func(context.Context) (net.Conn, error) {
		close(hangs)
		<-release
		return nil, errNoDial
	})
	step("a probe that hangs", time.Minute, false, spare.Addr())
	<-hangs
	step("mail meanwhile", 0, false, spare.Addr())
	close(release)
	<-d.probed
	failures(3)

	d.set(func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", back.Addr())
	})
	step("it is back, which nobody knows", 4*time.Minute, true, spare.Addr())
	failures(0)
	step("it is back", 0, false, firstHost)

	d.set(refuseDial)
	step("gone again", 0, false, firstHost, spare.Addr())
	hangs = make(chan struct{})
	d.set(func(ctx context.Context) (net.Conn, error) {
		close(hangs)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	step("the last probe", time.Minute, false, spare.Addr())
	<-hangs
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	back.Wait("the ends of both sessions", func() bool { s := back.Sessions(); return len(s) == 2 && s[0].Quit && s[1].Quit })
	if n := len(back.Messages()); n > 0 {
		t.Errorf("%d messages of probes", n)
	}
}
