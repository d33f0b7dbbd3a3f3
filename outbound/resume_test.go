package outbound_test

import (
	"crypto/tls"
	"sync/atomic"
	"testing"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
	"postrider/relay"
)

// A second session with a host resumes the first one's TLS, and is as well proven.
func TestTLSResumption(t *testing.T) {
	t.Parallel()
	config, roots := outboundtest.NewCertificate(t, "127.0.0.1")
	var resumed atomic.Int32
	config.VerifyConnection = func(s tls.ConnectionState) error {
		if s.DidResume {
			resumed.Add(1)
		}
		return nil
	}
	p := outboundtest.NewPeer(t, outboundtest.Script{TLS: config, Users: map[string]string{"u": "p"}})
	tr := smart(t, func(o *outbound.Options) {
		o.Routes[0].TLS, o.RootCAs = outbound.TLSVerify, roots
		o.Routes[0].Auth = &outbound.Credentials{User: "u", Password: "p"}
	}, p)
	for range 3 {
		dial(t, tr)
	}
	if got := resumed.Load(); got != 2 {
		t.Errorf("%d of 3 sessions were resumed, want 2", got)
	}
}

// A host that has a new certificate, and keys of tickets that are older, is known by the new one: what
// is resumed shows the certificate of the session that it came from.
func TestNoResumptionOfOldCertificate(t *testing.T) {
	t.Parallel()
	old, _ := outboundtest.NewCertificate(t, "127.0.0.1")
	renewed, roots := outboundtest.NewCertificate(t, "127.0.0.1")
	keys := [][32]byte{{1}}
	old.SetSessionTicketKeys(keys)
	renewed.SetSessionTicketKeys(keys)
	p := outboundtest.NewPeer(t, outboundtest.Script{TLS: old})
	tr := smart(t, func(o *outbound.Options) {
		strict := o.Routes[0]
		strict.Name, strict.TLS = "strict", outbound.TLSVerify
		o.Routes[0].TLS, o.RootCAs = outbound.TLSEncrypt, roots
		o.Routes = append(o.Routes, strict)
	}, p)
	dial(t, tr)
	p.SetScript(outboundtest.Script{TLS: renewed})
	c, err := tr.Dial(t.Context(), resolve(t, tr, relay.Destination{Route: "strict"}))
	if err != nil {
		t.Fatalf("the new certificate is not seen: %v", err)
	}
	wantCodes(t, deliver(t, c, transfer("x\r\n", "a@to.test")), "250")
	c.Close()
}
