package outbound_test

import (
	"testing"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
	"postrider/relay"
)

// A loopback address beyond a proxy is not near: no password goes there in clear.
func TestNoCredentialsInClearThroughProxy(t *testing.T) {
	t.Parallel()
	address, _ := socks(t, false)
	p := outboundtest.NewPeer(t, outboundtest.Script{Users: map[string]string{"u": "secret"}})
	tr := smart(t, func(o *outbound.Options) {
		o.Routes[0].SOCKS5, o.Routes[0].Auth = address, &outbound.Credentials{User: "u", Password: "secret"}
	}, p)
	c, err := tr.Dial(t.Context(), resolve(t, tr, relay.Destination{Route: routeSmart}))
	if err == nil {
		c.Close()
		t.Error("the password was sent")
	}
}
