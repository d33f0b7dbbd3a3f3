package outbound_test

import (
	"slices"
	"strings"
	"testing"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
)

// REQUIRETLS is passed on where it is offered inside TLS, and the message asks for it (RFC
// 8689 section 4.2.1).
func TestRequireTLSParameter(t *testing.T) {
	t.Parallel()
	config, roots := outboundtest.NewCertificate(t, "127.0.0.1")
	for _, required := range []bool{true, false} {
		p := outboundtest.NewPeer(t, outboundtest.Script{
			TLS: config, Extensions: append(slices.Clone(outboundtest.DefaultExtensions), "REQUIRETLS"),
		})
		tr := smart(t, func(o *outbound.Options) { o.Routes[0].TLS, o.RootCAs = outbound.TLSVerify, roots }, p)
		x := transfer("x\r\n", "a@to.test")
		x.Message.Envelope.RequireTLS = required
		wantCodes(t, deliver(t, dial(t, tr), x), "250")
		if got := p.Messages()[0].Mail; strings.HasSuffix(got, " REQUIRETLS") != required {
			t.Errorf("required %v: command %q", required, got)
		}
	}
}
