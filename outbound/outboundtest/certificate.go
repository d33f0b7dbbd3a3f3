package outboundtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

// NewCertificate makes a certificate for the names, which may be addresses, and the pool of
// roots that vouches for it. It is valid for an hour either way.
func NewCertificate(tb testing.TB, names ...string) (*tls.Config, *x509.CertPool) {
	tb.Helper()
	config := issue(tb, nil, names)
	pool := x509.NewCertPool()
	pool.AddCert(config.Certificates[0].Leaf)
	return config, pool
}

// Issue makes a certificate for the names that is signed by another, which goes along with it.
func Issue(tb testing.TB, by *tls.Config, names ...string) *tls.Config {
	tb.Helper()
	return issue(tb, &by.Certificates[0], names)
}

// issue makes a certificate that is signed by another, or by itself.
func issue(tb testing.TB, by *tls.Certificate, names []string) *tls.Config {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatalf("make a key: %v", err)
	}
	template := newTemplate(names)
	parent, signer := template, any(key)
	var chain [][]byte
	if by != nil {
		parent, signer, chain = by.Leaf, by.PrivateKey, by.Certificate
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		tb.Fatalf("make a certificate: %v", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatalf("read back a certificate: %v", err)
	}
	certificate := tls.Certificate{Certificate: append([][]byte{der}, chain...), PrivateKey: key, Leaf: leaf}
	return &tls.Config{Certificates: []tls.Certificate{certificate}}
}

func newTemplate(names []string) *x509.Certificate {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "outboundtest " + strings.Join(names, " ")},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		IsCA:     true, BasicConstraintsValid: true,
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	return template
}
