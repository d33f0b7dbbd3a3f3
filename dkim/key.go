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
	"slices"
	"strings"
	"time"
)

// minBits is the smallest RSA key that verifiers accept (RFC 8301 section 3.2).
const minBits = 1024

// maxKeyFile is far more than any key; a path that leads elsewhere is not read whole.
const maxKeyFile = 64 << 10

// Key is a private key and the name of its public half in DNS: Selector._domainkey.Domain,
// and what it signs, and how.
type Key struct {
	Domain, Selector string
	// Path is a PEM file: RSA (PKCS#1 or PKCS#8) of at least 1024 bits, or Ed25519 (PKCS#8).
	Path string
	// Directory stands in place of the three: a folder for each domain, named like it,
	// with a file SELECTOR.pem for each key. See Rotate for which of them sign.
	Directory string
	// Exact keeps the key to its domain. Otherwise it signs for the domains below too, which
	// have no key themselves.
	Exact bool
	// Match are the fields whose domain chooses the key: "from", "sender" or "envelope", by
	// default from alone. From comes before sender and sender before the envelope,
	// whatever their order is here.
	Match []string
	// Users are those whose mail is signed with this key, whatever it says of its author.
	// Other mail is not.
	Users []string
	// Headers are the fields to be signed in place of the usual ones.
	Headers []string
	// Identity is the i= of signatures, which ends in the domain or one below it; "" for none.
	Identity string
	// Expires is how long signatures are good for, 0 for ever.
	Expires time.Duration
	// Canonicalization is "relaxed/relaxed", which it is by default, or has "simple" for the
	// header, the body or both.
	Canonicalization string
}

// KeyError is a fault in one key of Options.
type KeyError struct {
	// Index is the place of the key in Options.Keys, from 0.
	Index int
	// Field is the field as a configuration file names it.
	Field string
	Err   error
}

// Error gives the field the way a configuration file names it, and what is wrong.
func (e *KeyError) Error() string { return fmt.Sprintf("dkim[%d].%s: %s", e.Index, e.Field, e.Err) }

func (e *KeyError) Unwrap() error { return e.Err }

// Kind is a kind of key, by its name in records (RFC 6376 section 3.6.1, RFC 8463).
type Kind string

// The kinds of keys.
const (
	KindRSA     Kind = "rsa"
	KindEd25519 Kind = "ed25519"
)

// key is a Key that has been read.
type key struct {
	domain, selector, path   string
	private                  crypto.Signer
	state                    State
	since                    time.Time
	fields                   []signed
	identity                 string
	expires                  time.Duration
	simpleHeader, simpleBody bool
}

func (k *key) kind() Kind { return kindOf(k.private) }

func kindOf(private crypto.Signer) Kind {
	if _, ok := private.(ed25519.PrivateKey); ok {
		return KindEd25519
	}
	return KindRSA
}

// name is where the public half is in DNS.
func (k *key) name() string { return k.selector + "._domainkey." + k.domain }

// IsName accepts a domain name or selector as DNS has it, in lower case: an
// internationalised one as A-labels (RFC 6376 section 3.5).
func IsName(text string) bool {
	return len(text) <= 253 && regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9])?)*$`).MatchString(text)
}

// fault is what is wrong with a field of a Key.
type fault struct {
	field string
	err   error
}

// template checks how the key signs and gives that, without a private key.
func (k *Key) template() (key, []fault) {
	made := key{identity: k.Identity, expires: k.Expires, fields: signedFields()}
	var faults []fault
	add := func(field, format string, args ...any) {
		faults = append(faults, fault{field, fmt.Errorf(format, args...)})
	}
	if len(k.Headers) > 0 {
		fields, err := chosenFields(k.Headers)
		if err != nil {
			add("headers", "%w", err)
		}
		made.fields = fields
	}
	for _, m := range k.Match {
		if !slices.Contains([]string{matchFrom, matchSender, matchEnvelope}, m) {
			add("match", "%q is not from, sender or envelope", m)
		}
	}
	if len(k.Match) > 0 && len(k.Users) > 0 {
		add("match", "has no use beside users, whose mail is signed whatever it says")
	}
	if k.Expires < 0 {
		add("expires", "must not be less than 0")
	}
	header, body, both := strings.Cut(k.Canonicalization, "/")
	words := []string{"relaxed", "simple"}
	if k.Canonicalization != "" && !(both && slices.Contains(words, header) && slices.Contains(words, body)) {
		add("canonicalization", "%q is not relaxed/relaxed, relaxed/simple, simple/relaxed or simple/simple", k.Canonicalization)
	}
	made.simpleHeader, made.simpleBody = header == "simple", body == "simple"
	return made, faults
}

// identityFault says what is wrong with an i= for a domain (RFC 6376 section 3.5).
func identityFault(identity, domain string) error {
	if identity == "" {
		return nil
	}
	local, host, ok := strings.Cut(identity, "@")
	host = strings.ToLower(host)
	if !ok || strings.ContainsFunc(local, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`;="\<>(),:`, r) }) {
		return fmt.Errorf("%q is not an identity such as @%s", identity, domain)
	}
	if host != domain && !strings.HasSuffix(host, "."+domain) {
		return fmt.Errorf("%q is not in %s or below", identity, domain)
	}
	return nil
}

// load reads the one key that k names.
func (k *Key) load(made key) (key, []fault) {
	made.domain, made.selector, made.path = strings.ToLower(k.Domain), strings.ToLower(k.Selector), k.Path
	var faults []fault
	if !IsName(made.domain) {
		faults = append(faults, fault{"domain", fmt.Errorf("%q is not a domain name in ASCII", k.Domain)})
	}
	if !IsName(made.selector) {
		faults = append(faults, fault{"selector", fmt.Errorf("%q is not a selector", k.Selector)})
	}
	if err := identityFault(k.Identity, made.domain); err != nil {
		faults = append(faults, fault{"identity", err})
	}
	if len(faults) > 0 {
		return made, faults
	}
	private, err := ReadKey(k.Path)
	if err != nil {
		return made, []fault{{"key", err}}
	}
	made.private, made.state = private, Active
	return made, nil
}

// ReadKey reads a private key of RSA or Ed25519 from a PEM file.
func ReadKey(path string) (crypto.Signer, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	private, err := parseKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return private, nil
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
