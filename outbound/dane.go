package outbound

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/miekg/dns"
)

// The fields of a TLSA record that count for SMTP (RFC 7672 section 3.1).
const (
	usageTA = 2
	usageEE = 3

	selectorCert = 0
	selectorKey  = 1

	matchExact  = 0
	matchSHA256 = 1
	matchSHA512 = 2
)

var errDANE = errors.New("no TLSA record matches the certificate")

// tlsa is a TLSA record that can be used.
type tlsa struct {
	usage, selector, matching uint8
	data                      []byte
}

// usable reads a record; false where it says something that is not for SMTP.
func usable(rr *dns.TLSA) (tlsa, bool) {
	data, err := hex.DecodeString(rr.Certificate)
	r := tlsa{rr.Usage, rr.Selector, rr.MatchingType, data}
	ok := err == nil && len(data) > 0 && (r.usage == usageTA || r.usage == usageEE) &&
		r.selector <= selectorKey && r.matching <= matchSHA512
	return r, ok
}

// matches says whether the record is for this certificate.
func (r *tlsa) matches(cert *x509.Certificate) bool {
	subject := cert.Raw
	if r.selector == selectorKey {
		subject = cert.RawSubjectPublicKeyInfo
	}
	switch r.matching {
	case matchSHA256:
		sum := sha256.Sum256(subject)
		subject = sum[:]
	case matchSHA512:
		sum := sha512.Sum512(subject)
		subject = sum[:]
	}
	return bytes.Equal(r.data, subject)
}

// askDANE finds out what a host has to prove (RFC 7672 section 2.2). Where DNSSEC does not vouch
// for the way to the host, or for a TLSA record, the level is that without DANE; a smart host,
// though, is the operator's word, and must have one. An answer that cannot be had skips the host.
func (c *conn) askDANE(ctx context.Context) error {
	c.level = c.route.withoutDANE
	if c.route.MX && !c.route.dnssec {
		return nil
	}
	secure, err := c.t.addressSecure(ctx, c.remote.name)
	var found answer
	if err == nil && secure {
		name := fmt.Sprintf("_%d._tcp.%s", c.remote.addr.Port(), c.remote.name)
		found, err = c.t.resolver.lookup(ctx, question{name, dns.TypeTLSA})
	}
	switch {
	case err != nil:
		return saying(replyTLSPolicy, "Cannot look up the TLSA records of %s for now", c.remote).Because(err)
	case secure && found.secure && len(found.tlsas) > 0:
		c.useTLSA(found.tlsas)
	case !c.route.MX:
		return saying(replyTLSPolicy, "%s has no TLSA record that DNSSEC vouches for, which route %s asks for", c.remote, c.route.Name)
	}
	return nil
}

// useTLSA takes the records that can be used. With none of them encryption is a must all the same.
func (c *conn) useTLSA(rrs []*dns.TLSA) {
	for _, rr := range rrs {
		if r, ok := usable(rr); ok {
			c.tlsas = append(c.tlsas, r)
		}
	}
	c.level = TLSDANE
	if len(c.tlsas) == 0 {
		c.level = max(TLSEncrypt, c.route.withoutDANE)
	}
}

// addressSecure says whether DNSSEC vouches for the addresses of a host.
func (t *Transport) addressSecure(ctx context.Context, host string) (bool, error) {
	found := false
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
		a, err := t.resolver.lookup(ctx, question{host, qtype})
		if err != nil || len(a.addrs) > 0 && !a.secure {
			return false, err
		}
		found = found || len(a.addrs) > 0
	}
	return found, nil
}

// verifyDANE checks a chain by the host's TLSA records (RFC 7671 section 5). With DANE-EE the
// record says it all; with DANE-TA it is the root, and the certificate has to name the host.
func (c *conn) verifyDANE(state tls.ConnectionState) error {
	chain := state.PeerCertificates
	for _, r := range c.tlsas {
		if r.usage == usageEE && r.matches(chain[0]) {
			return nil
		}
		for _, cert := range chain {
			if r.usage == usageTA && r.matches(cert) && c.verifyChain(chain, rootOf(cert)) == nil {
				return nil
			}
		}
	}
	return errDANE
}

func rootOf(cert *x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return pool
}
