package outbound

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"postrider/outbound/tlsrpt"
)

// startTLS encrypts the session as the route's level asks (conformance, table TLS).
func (c *conn) startTLS(ctx context.Context) error {
	level := c.level
	switch {
	case c.tls != "" || level == TLSNone:
		return nil
	case level == TLSMay && c.route.Auth == nil && c.t.noTLS.holds(c.remote.String()):
		c.note(tlsrpt.ValidationFailure, "TLS has failed with this host before")
		return nil
	case !c.features.startTLS && level == TLSMay:
		c.note(tlsrpt.StartTLSNotSupported, "")
		return nil
	case !c.features.startTLS:
		c.note(tlsrpt.StartTLSNotSupported, "")
		return saying(replyTLSPolicy, "%s does not offer STARTTLS, which route %s asks for", c.remote, c.route.Name)
	}
	a, err := c.command("STARTTLS", c.t.o.Timeouts.Hello)
	if err != nil {
		return c.lost("STARTTLS", err)
	}
	if a.code != 220 {
		said := a.reply()
		c.note(tlsrpt.StartTLSNotSupported, said.String())
		if level == TLSMay && a.code != 421 {
			return nil
		}
		reply := c.refused("STARTTLS", a)
		reply.Enhanced = replyTLSPolicy.Enhanced
		return reply
	}
	if err := c.encrypt(ctx); err != nil {
		return err
	}
	return c.hello()
}

// encrypt runs the handshake. The certificate is checked here rather than by crypto/tls,
// because whether a bad one matters depends on the level, and on credentials later.
func (c *conn) encrypt(ctx context.Context) error {
	config := &tls.Config{
		ServerName: cmp.Or(c.base, c.remote.name), InsecureSkipVerify: true,
		ClientSessionCache: c.t.sessions, Time: c.t.o.Now,
	}
	if c.level == TLSMay {
		config.MinVersion = tls.VersionTLS10 // old encryption is more than none
	}
	client := tls.Client(c.raw, config)
	ctx, cancel := context.WithTimeout(ctx, c.t.o.Timeouts.Hello)
	defer cancel()
	if err := client.HandshakeContext(ctx); err != nil {
		c.transcript.Note("TLS handshake: %v", err)
		c.t.tally.handshake("failed")
		c.note(tlsrpt.ValidationFailure, "the handshake failed: "+cause(err))
		if c.level == TLSMay && c.route.Auth == nil && c.remote.addr.Port() != smtps && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("%w: %w", errPlainInstead, err)
		}
		return saying(replyTLSFault, "TLS handshake with %s failed", c.remote).Because(err)
	}
	state := client.ConnectionState()
	c.t.tally.handshake(versionName(state))
	fault := c.verify(ctx, state)
	c.transcript.Note("%s, certificate: %s", describeTLS(state), proof(fault))
	c.report.certificate = fault
	if fault != nil && state.DidResume {
		c.t.sessions.Put(config.ServerName, nil)
		if c.level.Proves() || c.route.Auth != nil {
			fault = fmt.Errorf("%w: %w", errResumed, fault)
			return saying(replyTLSFault, "%s does not prove its name in a TLS session that is resumed", c.remote).Because(fault)
		}
	}
	if fault != nil && c.level.Proves() {
		return saying(replyTLSFault, "%s has no certificate that proves its name by tls: %s", c.remote, c.level).Because(fault)
	}
	c.use(client)
	c.tls, c.verified = describeTLS(state), fault == nil
	return nil
}

// verify checks that the certificate proves who the host is, as the level has it.
func (c *conn) verify(ctx context.Context, state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("no certificate")
	}
	switch c.level {
	case TLSFingerprint:
		return c.route.verifyFingerprint(state.PeerCertificates[0])
	case TLSDANE:
		return c.verifyDANE(ctx, state)
	}
	return c.verifyName(c.remote.name, state.PeerCertificates, c.t.o.RootCAs)
}

// verifyName checks that the roots vouch for the chain and that it is of the name (RFC 9525).
func (c *conn) verifyName(name string, chain []*x509.Certificate, roots *x509.CertPool) error {
	intermediates := x509.NewCertPool()
	for _, cert := range chain[1:] {
		intermediates.AddCert(cert)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		DNSName: name, Roots: roots, Intermediates: intermediates, CurrentTime: c.t.o.Now(),
	})
	return err
}
