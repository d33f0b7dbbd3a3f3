package outbound

import (
	"crypto/x509"
	"errors"
	"net"

	"postrider/outbound/tlsrpt"
	"postrider/relay"
)

// tlsFacts are what a session showed of its TLS, for the reports that domains want (RFC 8460).
type tlsFacts struct {
	// kind and reason say what kept TLS from being as it has to be; "" for nothing.
	kind   tlsrpt.ResultType
	reason string
	// certificate is what is wrong with the certificate, whether that matters or not.
	certificate error
	// greeting is the name that the host gave.
	greeting string
	// told are the domains for which the session has been counted.
	told map[string]bool
}

// maxReason bounds the words about a failure.
const maxReason = 200

// note remembers what is wrong with the session's TLS, the first thing that is.
func (c *conn) note(kind tlsrpt.ResultType, reason string) {
	if c.report.kind == "" {
		c.report.kind, c.report.reason = kind, reason
	}
}

// reports says whether sessions of the route are counted: those that are governed by what domains
// demand, and not by what an operator does.
func (c *conn) reports() bool {
	return c.t.o.TLSReports != nil && c.route.reported && c.remote.domain != ""
}

// reportDelivery counts the session for the domain of the recipients, once: sessions are shared by
// domains with the same hosts.
func (c *conn) reportDelivery(t relay.Transfer) {
	if !c.reports() || len(t.Recipients) == 0 {
		return
	}
	domain, err := toASCII(t.Recipients[0].Address.Domain)
	if err != nil || c.report.told[domain] {
		return
	}
	if c.report.told == nil {
		c.report.told = make(map[string]bool)
	}
	c.report.told[domain] = true
	c.t.o.TLSReports.Record(c.judge(domain))
}

// reportFailure counts a session that could not be opened for the sake of TLS. It is for the domain
// that it was opened for.
func (c *conn) reportFailure(err error) {
	var reply *relay.Reply
	if !c.reports() || !errors.As(err, &reply) || reply.Class != relay.ClassTLS {
		return
	}
	if s := c.judge(c.remote.domain); s.Failure.Type != "" {
		c.t.o.TLSReports.Record(s)
	}
}

// judge says how the session looks to a domain.
func (c *conn) judge(domain string) tlsrpt.Session {
	policy, fault := c.t.sts.view(domain)
	s := tlsrpt.Session{Domain: domain, Policy: tlsrpt.Policy{Type: tlsrpt.NoPolicy, Domain: domain}}
	switch {
	case c.base != "":
		s.Policy = tlsrpt.Policy{Type: tlsrpt.TLSA, Domain: c.base, Strings: c.published}
	case policy != nil:
		s.Policy = policy.reported(domain)
	}
	kind, reason := c.report.kind, c.report.reason
	certificate := c.report.certificate
	switch {
	case kind != "":
	case s.Policy.Type == tlsrpt.TLSA && certificate != nil:
		kind, reason = tlsrpt.ValidationFailure, certificate.Error()
	case s.Policy.Type == tlsrpt.STS && !policy.allows(c.remote.name):
		kind, reason = tlsrpt.ValidationFailure, "the policy does not name the host"
	case s.Policy.Type == tlsrpt.STS && certificate != nil:
		kind, reason = certificateFault(certificate), certificate.Error()
	case s.Policy.Type == tlsrpt.NoPolicy && fault.kind != "": // one that stands does, whatever its host does now
		kind, reason = fault.kind, fault.reason
	}
	if kind != "" {
		s.Failure = c.failure(kind, reason)
	}
	return s
}

// failure fills in whom the session was with.
func (c *conn) failure(kind tlsrpt.ResultType, reason string) tlsrpt.Failure {
	f := tlsrpt.Failure{
		Type: kind, Host: c.remote.name, Greeting: c.report.greeting, ReceivingIP: c.remote.addr.Addr().String(),
		Reason: printable(reason[:min(len(reason), maxReason)]),
	}
	// Through a proxy the hosts do not see our own address.
	if a, ok := c.raw.LocalAddr().(*net.TCPAddr); ok && c.route.SOCKS5 == "" {
		f.SendingIP = a.AddrPort().Addr().Unmap().String()
	}
	return f
}

// certificateFault says which kind of failure a bad certificate is (RFC 8460 section 4.3.1).
func certificateFault(err error) tlsrpt.ResultType {
	var mismatch x509.HostnameError
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &mismatch):
		return tlsrpt.CertificateHostMismatch
	case errors.As(err, &unknown):
		return tlsrpt.CertificateNotTrusted
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return tlsrpt.CertificateExpired
	}
	return tlsrpt.ValidationFailure
}

// reportUnnamed counts that a policy names none of a domain's hosts, so that there is no session.
func (t *Transport) reportUnnamed(r *Route, domain string, p *stsPolicy) {
	if t.o.TLSReports == nil || !r.reported {
		return
	}
	t.o.TLSReports.Record(tlsrpt.Session{Domain: domain, Policy: p.reported(domain), Failure: tlsrpt.Failure{
		Type: tlsrpt.ValidationFailure, Reason: "the policy names none of the mail exchanges",
	}})
}
