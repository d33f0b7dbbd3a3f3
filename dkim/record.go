package dkim

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
)

// maxString is the longest string in a TXT record, in bytes (RFC 1035 section 3.3.14).
const maxString = 255

// Record is the TXT record of a key's public half (RFC 6376 section 3.6.1).
type Record struct {
	// Name is the absolute name in DNS, without the last dot.
	Name string
	// Text is all strings of the record together, which is how a verifier reads them.
	Text string
}

// NewRecord is the record of a key.
func NewRecord(domain, selector string, private crypto.Signer) Record {
	return newRecord(selector+"._domainkey."+domain, private)
}

func newRecord(name string, private crypto.Signer) Record {
	return Record{Name: name, Text: "v=DKIM1; k=" + string(kindOf(private)) + "; p=" + base64.StdEncoding.EncodeToString(publicBytes(private.Public()))}
}

// publicBytes gives a public key the way that records have it.
func publicBytes(public crypto.PublicKey) []byte {
	if key, ok := public.(ed25519.PublicKey); ok {
		return key // RFC 8463 section 4.2
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil // only of a key that is none of ours
	}
	return der
}

// Strings are the strings that the record is made of.
func (r Record) Strings() []string {
	var all []string
	for part := range slices.Chunk([]byte(r.Text), maxString) {
		all = append(all, string(part))
	}
	return all
}

// Zone gives the record as a zone file has it.
func (r Record) Zone() string {
	return fmt.Sprintf("%s.\tIN\tTXT\t( \"%s\" )", r.Name, strings.Join(r.Strings(), "\"\n\t\""))
}

// Publication says how a record stands in DNS.
type Publication string

// The ways in which a record can stand in DNS.
const (
	// Published is as it should be.
	Published Publication = "published"
	// Missing is no record of the name.
	Missing Publication = "missing"
	// Different is one that verifiers cannot use for our key.
	Different Publication = "different"
	// Unknown is that DNS did not answer.
	Unknown Publication = "unknown"
)

// LookupTXT asks DNS for the TXT records of an absolute name, the strings of each put
// together. That there is none is a *net.DNSError that says so. It is what
// net.Resolver.LookupTXT does.
type LookupTXT func(ctx context.Context, name string) ([]string, error)

// Check compares what is published with the record. The error says what is not right.
func (r Record) Check(ctx context.Context, lookup LookupTXT) (Publication, error) {
	texts, err := lookup(ctx, r.Name+".")
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return Missing, fmt.Errorf("%s has no TXT record", r.Name)
	}
	if err != nil {
		return Unknown, err
	}
	switch len(texts) {
	case 0:
		return Missing, fmt.Errorf("%s has no TXT record", r.Name)
	case 1:
	default:
		return Different, fmt.Errorf("%s has %d TXT records, where verifiers want one", r.Name, len(texts))
	}
	if err := r.compare(texts[0]); err != nil {
		return Different, fmt.Errorf("%s: %w", r.Name, err)
	}
	return Published, nil
}

// compare says why a verifier that reads the text cannot verify what our key signs.
func (r Record) compare(text string) error {
	theirs, err := parseTags(text)
	if err != nil {
		return err
	}
	ours, err := parseTags(r.Text)
	if err != nil {
		return err
	}
	list := func(tag string) []string { return strings.Split(theirs[tag], ":") }
	version, versioned := theirs["v"]
	_, hashes := theirs["h"]
	_, services := theirs["s"]
	kind := theirs["k"]
	if kind == "" {
		kind = string(KindRSA)
	}
	switch {
	case versioned && (version != "DKIM1" || !strings.HasPrefix(strings.TrimSpace(text), "v")):
		return errors.New("it does not begin with v=DKIM1")
	case theirs["p"] == "":
		return errors.New("the key is revoked: p= is empty")
	case kind != ours["k"]:
		return fmt.Errorf("it is for a key of kind %q, ours is %s", kind, ours["k"])
	case !sameKey(theirs["p"], ours["p"]):
		return errors.New("it has another key")
	case hashes && !slices.Contains(list("h"), "sha256"):
		return fmt.Errorf("h=%s does not allow sha256", theirs["h"])
	case services && !slices.Contains(list("s"), "*") && !slices.Contains(list("s"), "email"):
		return fmt.Errorf("s=%s is not for mail", theirs["s"])
	case slices.Contains(list("t"), "y"):
		return errors.New("t=y: verifiers are told that this is only a test")
	}
	return nil
}

// parseTags reads a tag list (RFC 6376 section 3.2), without the white space in its values.
func parseTags(text string) (map[string]string, error) {
	tags := make(map[string]string)
	for part := range strings.SplitSeq(text, ";") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" {
			return nil, fmt.Errorf("%.40q is not a tag", part)
		}
		if _, twice := tags[name]; twice {
			return nil, fmt.Errorf("the tag %.20q is there twice", name)
		}
		tags[name] = strings.Join(strings.Fields(value), "")
	}
	return tags, nil
}

// sameKey compares base64. An RSA key is in one of two forms (RFC 6376 erratum 3017).
func sameKey(theirs, ours string) bool {
	a, err := base64.StdEncoding.DecodeString(theirs)
	b, _ := base64.StdEncoding.DecodeString(ours) // ours is what we made
	if err != nil {
		return false
	}
	if pkcs1, err := x509.ParsePKCS1PublicKey(a); err == nil {
		a = publicBytes(pkcs1)
	}
	return bytes.Equal(a, b)
}
