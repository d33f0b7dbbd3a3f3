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

	"postrider/outbound/tlsrpt"
	"postrider/relay"
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
	base, found, err := c.t.lookupTLSA(ctx, c.remote)
	switch {
	case err != nil:
		c.note(tlsrpt.DNSSECInvalid, "the TLSA records cannot be looked up")
		return saying(replyTLSPolicy, "Cannot look up the TLSA records of %s for now", c.remote).Because(err)
	case len(found) > 0:
		c.useTLSA(base, found)
	case !c.route.MX:
		return saying(replyTLSPolicy, "%s has no TLSA record that DNSSEC vouches for, which route %s asks for", c.remote, c.route.Name)
	}
	return nil
}

// useTLSA takes the records that can be used. With none of them encryption is a must all the same.
func (c *conn) useTLSA(base string, rrs []*dns.TLSA) {
	c.base = base
	for _, rr := range rrs {
		c.published = append(c.published, fmt.Sprintf("%d %d %d %s", rr.Usage, rr.Selector, rr.MatchingType, rr.Certificate))
		if r, ok := usable(rr); ok {
			c.tlsas = append(c.tlsas, r)
		}
	}
	c.level = TLSDANE
	if len(c.tlsas) == 0 {
		c.level = max(TLSEncrypt, c.route.withoutDANE)
		c.note(tlsrpt.TLSAInvalid, "none of the TLSA records can be used")
	}
}

// lookupTLSA finds the TLSA records that DNSSEC vouches for, and the name that they are of, the
// base domain: what the host is an alias of, or else its own name (RFC 7672 section 2.2.2).
func (t *Transport) lookupTLSA(ctx context.Context, to remote) (base string, found []*dns.TLSA, err error) {
	names, err := t.tlsaNames(ctx, to.name)
	for _, name := range names {
		a, err := t.resolver.lookup(ctx, question{fmt.Sprintf("_%d._tcp.%s", to.addr.Port(), name), dns.TypeTLSA})
		if err != nil {
			return "", nil, err
		}
		if a.secure && len(a.tlsas) > 0 {
			return name, a.tlsas, nil
		}
	}
	return "", nil, err
}

// tlsaNames are the names that a host can have TLSA records under, the first choice first: none
// where DNSSEC vouches for none.
func (t *Transport) tlsaNames(ctx context.Context, host string) ([]string, error) {
	found, secure, alias := false, true, ""
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
		a, err := t.resolver.lookup(ctx, question{host, qtype})
		if err != nil {
			return nil, err
		}
		if len(a.addrs) > 0 {
			found, secure, alias = true, secure && a.secure, a.alias
		}
	}
	switch {
	case found && secure && alias != "":
		return []string{alias, host}, nil
	case found && secure:
		return []string{host}, nil
	case alias == "":
		return nil, nil
	}
	// Where the alias is safe and what it stands for is not, the name itself can have records.
	a, err := t.resolver.lookup(ctx, question{host, dns.TypeCNAME})
	if err != nil || !a.secure || a.alias == "" {
		return nil, err
	}
	return []string{host}, nil
}

// verifyDANE checks a chain by the host's TLSA records (RFC 7671 section 5). With DANE-EE the
// record says it all; with DANE-TA it is the root, and the certificate has to name the host, or,
// where DNSSEC vouches for the way from it, the domain of the recipients (RFC 7672 section 3.2.2).
func (c *conn) verifyDANE(ctx context.Context, state tls.ConnectionState) error {
	chain := state.PeerCertificates
	for _, r := range c.tlsas {
		if r.usage == usageEE && r.matches(chain[0]) {
			return nil
		}
	}
	for _, r := range c.tlsas {
		for _, cert := range chain {
			if r.usage == usageTA && r.matches(cert) && c.named(ctx, chain, rootOf(cert)) {
				return nil
			}
		}
	}
	return errDANE
}

// named says whether the certificate, under the root, has one of the names that it may have. One
// that is for a domain rather than the host is remembered: it is good for that domain only.
func (c *conn) named(ctx context.Context, chain []*x509.Certificate, root *x509.CertPool) bool {
	for _, name := range []string{c.base, c.remote.name} {
		if c.verifyName(name, chain, root) == nil {
			return true
		}
	}
	if !c.forDomain(ctx, c.remote.domain, chain, root) {
		return false
	}
	c.chain, c.anchor = chain, root
	return true
}

// forDomain says whether the certificate names the domain, or what it is an alias of.
func (c *conn) forDomain(ctx context.Context, domain string, chain []*x509.Certificate, root *x509.CertPool) bool {
	if domain == "" {
		return false
	}
	if c.verifyName(domain, chain, root) == nil {
		return true
	}
	a, err := c.t.resolver.lookup(ctx, question{domain, dns.TypeMX})
	return err == nil && a.secure && a.alias != "" && c.verifyName(a.alias, chain, root) == nil
}

// isFor says whether the certificate, which names a domain rather than the host, is good for the
// recipients' domain.
func (c *conn) isFor(t relay.Transfer) bool {
	domain, err := toASCII(t.Recipients[0].Address.Domain)
	return err == nil && (domain == c.remote.domain || c.verifyName(domain, c.chain, c.anchor) == nil)
}

func rootOf(cert *x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return pool
}
