package outbound_test

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"testing"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
	"postrider/relay"
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

// What a rule asks of TLS is asked of the session, whatever the route is content with; the mail
// waits where it is not so.
func TestEncryptionByRule(t *testing.T) {
	t.Parallel()
	config, roots := outboundtest.NewCertificate(t, "127.0.0.1")
	for _, tt := range []struct {
		name   string
		tls    *tls.Config
		level  outbound.TLSLevel
		wanted relay.Encryption
		want   string
	}{
		{"clear, nothing asked", nil, outbound.TLSMay, relay.EncryptionByRoute, "250"},
		{"clear, TLS asked", nil, outbound.TLSMay, relay.EncryptionRequired, "451"},
		{"TLS asked", config, outbound.TLSMay, relay.EncryptionRequired, "250"},
		{"proof asked, none", nil, outbound.TLSMay, relay.EncryptionVerified, "451"},
		{"proof asked", config, outbound.TLSVerify, relay.EncryptionVerified, "250"},
	} {
		p := outboundtest.NewPeer(t, outboundtest.Script{TLS: tt.tls})
		tr := smart(t, func(o *outbound.Options) { o.Routes[0].TLS, o.RootCAs = tt.level, roots }, p)
		x := transfer("x\r\n", "a@to.test")
		x.Message.Envelope.Encryption = tt.wanted
		a := deliver(t, dial(t, tr), x)
		if got := fmt.Sprint(a.Replies[0].Code); got != tt.want {
			t.Errorf("%s: got %v, want %s", tt.name, a.Replies, tt.want)
		}
	}
}
