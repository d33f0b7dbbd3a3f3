package outbound_test

import (
	"context"
	"net"
	"testing"
	"time"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
	"postrider/relay"
)

type closeSpy struct {
	net.Conn
	closed *bool
}

func (c closeSpy) Close() error { *c.closed = true; return c.Conn.Close() }

// A panic while a session is being opened leaves no connection behind.
func TestPanicInOpeningLeaksNoConnection(t *testing.T) {
	t.Parallel()
	p := outboundtest.NewPeer(t, outboundtest.Script{})
	var closed bool
	opened := 0
	tr := smart(t, func(o *outbound.Options) {
		o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			nc, err := new(net.Dialer).DialContext(ctx, network, address)
			opened = 1
			return closeSpy{nc, &closed}, err
		}
		o.Now = func() time.Time {
			if opened > 0 {
				if opened++; opened == 4 {
					panic("at the disco")
				}
			}
			return time.Now()
		}
	}, p)
	site := resolve(t, tr, relay.Destination{Route: "smart"})
	func() {
		defer func() { recover() }()
		tr.Dial(t.Context(), site)
	}()
	if !closed {
		t.Error("the connection is still open")
	}
}
