package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// minBits is the smallest RSA key that verifiers accept (RFC 8301 section 3.2).
const minBits = 1024

// maxKeyFile is far more than any key; a path that leads elsewhere is not read whole.
const maxKeyFile = 64 << 10

// Key is a private key and the name of its public half in DNS: Selector._domainkey.Domain.
type Key struct {
	Domain, Selector string
	// Path is a PEM file: RSA (PKCS#1 or PKCS#8) of at least 1024 bits, or Ed25519 (PKCS#8).
	Path string
}

// KeyError is a fault in one key of Options.
type KeyError struct {
	// Index is the place of the key in Options.Keys, from 0.
	Index int
	// Field is "domain", "selector" or "key".
	Field string
	Err   error
}

// Error gives the field the way a configuration file names it, and what is wrong.
func (e *KeyError) Error() string { return fmt.Sprintf("dkim[%d].%s: %s", e.Index, e.Field, e.Err) }

func (e *KeyError) Unwrap() error { return e.Err }

// key is a Key that has been read.
type key struct {
	domain, selector string
	private          crypto.Signer
}

// isName accepts a domain name or selector as DNS has it: an internationalised one as
// A-labels (RFC 6376 section 3.5).
func isName(text string) bool {
	return len(text) <= 253 && regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9])?)*$`).MatchString(text)
}

func load(k Key, index int) (key, error) {
	fault := func(field string, err error) (key, error) {
		return key{}, &KeyError{Index: index, Field: field, Err: err}
	}
	loaded := key{domain: strings.ToLower(k.Domain), selector: strings.ToLower(k.Selector)}
	if !isName(loaded.domain) {
		return fault("domain", fmt.Errorf("%q is not a domain name in ASCII", k.Domain))
	}
	if !isName(loaded.selector) {
		return fault("selector", fmt.Errorf("%q is not a selector", k.Selector))
	}
	text, err := readFile(k.Path)
	if err != nil {
		return fault("key", err)
	}
	if loaded.private, err = parseKey(text); err != nil {
		return fault("key", fmt.Errorf("%s: %w", k.Path, err))
	}
	return loaded, nil
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxKeyFile {
		return nil, fmt.Errorf("%s: not a key file", path)
	}
	return os.ReadFile(path)
}

// parseKey reads the first PEM block.
func parseKey(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no PEM block found")
	}
	if block.Headers["DEK-Info"] != "" || block.Type == "ENCRYPTED PRIVATE KEY" {
		return nil, errors.New("the key is encrypted: store it without a passphrase, protected by the file's mode")
	}
	var parsed any
	var err error
	switch block.Type {
	case "RSA PRIVATE KEY":
		parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "PRIVATE KEY":
		parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("a private key of RSA or Ed25519 is needed, not %q", block.Type)
	}
	if err != nil {
		return nil, err
	}
	return usable(parsed)
}

func usable(parsed any) (crypto.Signer, error) {
	switch k := parsed.(type) {
	case *rsa.PrivateKey:
		if bits := k.N.BitLen(); bits < minBits {
			return nil, fmt.Errorf("an RSA key of %d bits is too weak: verifiers ignore those below %d, use 2048", bits, minBits)
		}
		return k, nil
	case ed25519.PrivateKey:
		return k, nil
	}
	return nil, fmt.Errorf("a key of RSA or Ed25519 is needed, not %T", parsed)
}
