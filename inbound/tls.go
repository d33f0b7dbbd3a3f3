package inbound

import (
	"crypto/tls"
	"fmt"
	"strings"
)

// mode is the TLS mode with its default filled in.
func (t TLSOptions) mode() TLSMode {
	switch {
	case t.Mode != "":
		return t.Mode
	case t.CertFile != "":
		return TLSStartTLS
	}
	return TLSNone
}

// config loads the certificate. It is nil for TLSNone.
func (t TLSOptions) config() (*tls.Config, error) {
	switch t.mode() {
	case TLSNone:
		return nil, nil
	case TLSStartTLS, TLSImplicit:
	default:
		return nil, fmt.Errorf("TLS mode %q: must be none, starttls or implicit", t.Mode)
	}
	if t.CertFile == "" || t.KeyFile == "" {
		return nil, fmt.Errorf("TLS mode %s needs a certificate and a key", t.mode())
	}
	pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("load the certificate %s with the key %s: %w", t.CertFile, t.KeyFile, err)
	}
	// RFC 8996 retires what came before TLS 1.2.
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// describeTLS gives the text of relay.Origin.TLS.
func describeTLS(state tls.ConnectionState) string {
	version := strings.Replace(tls.VersionName(state.Version), "TLS ", "TLSv", 1)
	return version + ", " + tls.CipherSuiteName(state.CipherSuite)
}
