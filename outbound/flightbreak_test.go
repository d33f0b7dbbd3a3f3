package outbound_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
	"postrider/relay"
)

type breaksAfterDot struct {
	net.Conn
	dot *bool
}

func (c breaksAfterDot) Write(p []byte) (int, error) {
	if *c.dot {
		time.Sleep(100 * time.Millisecond) // the peer answers the message meanwhile
		return 0, errors.New("broken pipe")
	}
	*c.dot = bytes.Contains(p, []byte("\r\n.\r\n")) || bytes.Contains(p, []byte("LAST"))
	return c.Conn.Write(p)
}

// The connection breaks while the next flight is being written: the reply to the message counts.
func TestReplyCountsWhenNextFlightBreaks(t *testing.T) {
	t.Parallel()
	for _, extensions := range [][]string{outboundtest.DefaultExtensions, append([]string{"CHUNKING"}, outboundtest.DefaultExtensions...)} {
		replyCounts(t, outboundtest.NewPeer(t, outboundtest.Script{Extensions: extensions}))
	}
}

func replyCounts(t *testing.T, p *outboundtest.Peer) {
	var dot bool
	tr := smart(t, func(o *outbound.Options) {
		o.RecipientsPerTransaction = 1000
		o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			nc, err := new(net.Dialer).DialContext(ctx, network, address)
			return breaksAfterDot{nc, &dot}, err
		}
	}, p)
	var many []string
	for i := range 1000 {
		many = append(many, fmt.Sprintf("%s%d@to.test", strings.Repeat("x", 50), i))
	}
	next := transfer("y\r\n", many...)
	a := dial(t, tr).Deliver(t.Context(), transfer("x\r\n", "a@to.test"), func() (relay.Transfer, bool) { return next, true })
	if n := len(p.Messages()); n != 1 || !a.Replies[0].Positive() {
		t.Errorf("the peer took %d messages; reply %s, ambiguous %v", n, a.Replies[0], a.Ambiguous)
	}
}
