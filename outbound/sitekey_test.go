package outbound_test

import (
	"strings"
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

// Routes to one host share connections exactly where they log in alike: as the same user with other
// credentials is another login, whose fault is none of the first.
func TestSiteKeyTellsLogins(t *testing.T) {
	t.Parallel()
	p := outboundtest.NewPeer(t, outboundtest.Script{Users: map[string]string{"u": "right"}})
	login := func(password, mechanism string) *outbound.Credentials {
		return &outbound.Credentials{User: "u", Password: password, Mechanism: mechanism}
	}
	tr := smart(t, func(o *outbound.Options) {
		o.Routes[0].Auth = login("right", "")
		for name, c := range map[string]*outbound.Credentials{"alike": login("right", ""), "wrong": login("wrong", ""), "other": login("right", "login")} {
			o.Routes = append(o.Routes, outbound.Route{Name: name, Hosts: o.Routes[0].Hosts, TLS: outbound.TLSNone, Auth: c})
		}
	}, p)
	keys := make(map[string]string)
	for _, name := range []string{routeSmart, "alike", "wrong", "other"} {
		keys[name] = resolve(t, tr, relay.Destination{Route: name}).Key
		if strings.Contains(keys[name], "right") || strings.Contains(keys[name], "wrong") {
			t.Errorf("a password is in %q", keys[name])
		}
	}
	if keys["alike"] != keys[routeSmart] || keys["wrong"] == keys[routeSmart] || keys["other"] == keys[routeSmart] || keys["wrong"] == keys["other"] {
		t.Errorf("keys %q", keys)
	}
}
