package outbound

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

var errFingerprint = errors.New("the certificate has none of the route's fingerprints")

// ParseFingerprint reads a SHA-256 fingerprint in hex, with colons or without.
func ParseFingerprint(text string) ([]byte, error) {
	sum, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
	if err != nil || len(sum) != sha256.Size {
		return nil, fmt.Errorf("%q is not a SHA-256 fingerprint in hex", text)
	}
	return sum, nil
}

// verifyFingerprint wants a certificate, or a public key, that the route names.
func (r *Route) verifyFingerprint(cert *x509.Certificate) error {
	certificate, key := sha256.Sum256(cert.Raw), sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	if slices.ContainsFunc(r.Fingerprints, func(text string) bool {
		sum, err := ParseFingerprint(text)
		return err == nil && (slices.Equal(sum, certificate[:]) || slices.Equal(sum, key[:]))
	}) {
		return nil
	}
	return errFingerprint
}
