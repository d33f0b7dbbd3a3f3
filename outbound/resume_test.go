package outbound_test

import (
	"crypto/tls"
	"sync/atomic"
	"testing"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
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
