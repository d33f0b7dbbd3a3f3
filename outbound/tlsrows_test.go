package outbound_test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
	"postrider/relay"
)

// provenRows are those of the table of TLS in which the domain or the message asks for proof: what
// each makes of each trouble. None of them ever goes on in clear.
func provenRows() []row {
	return []row{
		{"TLS/MTA-STS enforce", func(t *testing.T) {
			eachTrouble(t, [4]string{"4.7.4", "4.7.4", "4.7.5", "4.7.5"}, func(t *testing.T, d trouble) string {
				g := d.guard(t, enforced)
				return g.send(t, g.transport(t))
			})
		}},
		{"TLS/REQUIRETLS", func(t *testing.T) {
			eachTrouble(t, [4]string{"4.7.5", "4.7.5", "4.7.5", "4.7.5"}, func(t *testing.T, d trouble) string {
				g := d.guard(t, "")
				g.dns.Fail("", outboundtest.Fault{Secure: true})
				return g.sendProven(t, g.transportOf(t, func(o *outbound.Options) { o.DNS.Trusted = true }))
			})
		}},
		{"TLS/DANE", func(t *testing.T) {
			eachTrouble(t, [4]string{"4.7.4", "4.7.4", "4.7.5", "4.7.5"}, func(t *testing.T, d trouble) string {
				g := d.guard(t, "")
				sum := sha256.Sum256(d.expected.Certificates[0].Leaf.Raw)
				g.dns.Add(g.tlsaName() + " 60 IN TLSA 3 0 1 " + hex.EncodeToString(sum[:]))
				return g.sendDANE(t)
			})
		}},
		{"TLS/DANE, TLSA look-up failed", func(t *testing.T) {
			eachTrouble(t, [4]string{"4.7.4", "4.7.4", "4.7.4", "4.7.4"}, func(t *testing.T, d trouble) string {
				g := d.guard(t, "")
				g.dns.Fail(g.tlsaName(), outboundtest.Fault{Rcode: dns.RcodeServerFailure, Secure: true})
				got := g.sendDANE(t)
				for _, session := range g.peer.Sessions() {
					if sent := strings.Join(session.Commands, "\n"); strings.Contains(sent, "MAIL") || strings.Contains(sent, "STARTTLS") {
						t.Errorf("a host that is to be skipped was sent:\n%s", sent)
					}
				}
				return got
			})
		}},
	}
}

// trouble is a column of the table.
type trouble struct {
	name   string
	script outboundtest.Script
	// expected is the certificate that the host should have, and roots vouch for it alone.
	expected *tls.Config
	roots    *x509.CertPool
}

// eachTrouble compares what a row makes of the columns, in the table's order.
func eachTrouble(t *testing.T, want [4]string, result func(*testing.T, trouble) string) {
	good, roots := outboundtest.NewCertificate(t, "mx.to.test")
	bad, _ := outboundtest.NewCertificate(t, "mx.to.test")
	broken := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, tls.AlertError(40) }}
	extensions := append([]string{"REQUIRETLS"}, outboundtest.DefaultExtensions...)
	for i, d := range []trouble{
		{name: "not offered", script: outboundtest.Script{}, expected: good},
		{name: "STARTTLS refused", script: outboundtest.Script{TLS: good, On: outboundtest.Answer(map[string]string{"STARTTLS": "454 4.7.0 not now"})}, expected: good},
		{name: "handshake fails", script: outboundtest.Script{TLS: broken}, expected: good},
		{name: "certificate bad", script: outboundtest.Script{TLS: bad}, expected: good},
	} {
		d.script.Extensions, d.roots = extensions, roots
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			if got := result(t, d); got != want[i] {
				t.Errorf("got %s, want %s", got, want[i])
			}
		})
	}
}

// guard sets the trouble up behind a domain with that policy.
func (d trouble) guard(t *testing.T, policy string) *guarded {
	t.Helper()
	g := newGuarded(t, d.script.TLS, d.roots, policy)
	g.peer.SetScript(d.script)
	return g
}

// sendDANE sends where the route asks for DANE and the resolver is trusted.
func (g *guarded) sendDANE(t *testing.T) string {
	t.Helper()
	g.dns.Fail("", outboundtest.Fault{Secure: true})
	return g.send(t, g.transportOf(t, func(o *outbound.Options) {
		o.DNS.Trusted, o.Routes[0].TLS = true, outbound.TLSDANE
	}))
}

// sendProven sends a message with REQUIRETLS and gives the enhanced code of what became of it.
func (g *guarded) sendProven(t *testing.T, tr *outbound.Transport) string {
	t.Helper()
	c, err := tr.Dial(t.Context(), resolve(t, tr, relay.Destination{Route: routeMX, Domain: "to.test"}))
	if err != nil {
		return asReply(t, err).Enhanced.String()
	}
	defer c.Close()
	x := transfer("x\r\n", "a@to.test")
	x.Message.Envelope.RequireTLS = true
	return deliver(t, c, x).Replies[0].Enhanced.String()
}
