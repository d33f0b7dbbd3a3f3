package outbound_test

import (
	"testing"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
	"postrider/relay"
)

// A connection outlives a change of the options exactly where its route is what it was.
func TestNext(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		edit   func(*outbound.Options)
		usable bool
	}{
		{"nothing changed", func(*outbound.Options) {}, true},
		{"another route came", func(o *outbound.Options) {
			o.Routes = append(o.Routes, outbound.Route{Name: "other", Hosts: []string{"192.0.2.1:25"}})
		}, true},
		{"the route went", func(o *outbound.Options) { o.Routes[0].Name = "other" }, false},
		{"it has credentials now", func(o *outbound.Options) {
			o.Routes[0].Auth, o.Routes[0].PlainAuth = &outbound.Credentials{User: "u", Password: "p"}, true
		}, false},
		{"it changes headers now", func(o *outbound.Options) { o.Routes[0].Header.Remove = []string{"X-Internal"} }, false},
		{"replies mean something else now", func(o *outbound.Options) {
			o.Replies = []outbound.ReplyRule{{Name: "mine", Code: "450", Class: relay.ClassRate}}
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := outboundtest.NewPeer(t, outboundtest.Script{})
			options := func() outbound.Options {
				return outbound.Options{Hostname: "relay.test", Routes: []outbound.Route{{Name: routeSmart, TLS: outbound.TLSNone, Hosts: []string{p.Addr()}}}}
			}
			tr := newTransport(t, options(), nil)
			c := dial(t, tr)
			o := options()
			tt.edit(&o)
			next, err := tr.Next(o)
			if err != nil {
				t.Fatal(err)
			}
			if !c.Usable() {
				t.Error("the connection ended before the change was made")
			}
			tr.Yield(next)
			if c.Usable() != tt.usable {
				t.Errorf("usable = %v, want %v", c.Usable(), tt.usable)
			}
			again, err := next.Next(o)
			if err != nil {
				t.Fatal(err)
			}
			next.Yield(again)
			if c.Usable() != tt.usable {
				t.Errorf("after a second change that changes nothing: usable = %v, want %v", c.Usable(), tt.usable)
			}
		})
	}
	t.Run("bad options change nothing", func(t *testing.T) {
		t.Parallel()
		p := outboundtest.NewPeer(t, outboundtest.Script{})
		tr := smart(t, nil, p)
		c := dial(t, tr)
		if _, err := tr.Next(outbound.Options{}); err == nil {
			t.Error("options without a hostname were taken")
		}
		wantCodes(t, deliver(t, c, transfer("x\r\n", "a@to.test")), "250")
	})
}
