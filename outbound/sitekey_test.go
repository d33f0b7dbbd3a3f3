package outbound_test

import (
	"testing"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
	"postrider/relay"
)

// A connection to a smart host is not one to the MX of a domain that nothing vouches for.
func TestSiteKeyTellsMXFromSmart(t *testing.T) {
	t.Parallel()
	d := outboundtest.NewDNS(t, "to.test. 60 IN MX 10 mx.to.test.", "mx.to.test. 60 IN A 192.0.2.1")
	tr := internet(t, d, func(o *outbound.Options) {
		o.Routes = append(o.Routes, outbound.Route{Name: "zzsmart", Hosts: []string{"mx.to.test"}, TLS: o.Routes[0].TLS})
		o.MXPort = 25
	})
	mx, err := tr.Resolve(t.Context(), relay.Destination{Route: routeMX, Domain: "to.test"})
	if err != nil {
		t.Fatal(err)
	}
	smart, err := tr.Resolve(t.Context(), relay.Destination{Route: "zzsmart"})
	if err != nil {
		t.Fatal(err)
	}
	if mx.Key == smart.Key {
		t.Errorf("both have the key %q", mx.Key)
	}
}
