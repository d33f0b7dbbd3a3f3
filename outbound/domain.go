package outbound

import (
	"errors"
	"strings"

	"golang.org/x/net/idna"
)

// errName says that a text cannot be a name in DNS.
var errName = errors.New("not a domain name")

// toASCII gives a domain as DNS and a next hop without SMTPUTF8 know it: A-labels, lower
// case, no trailing dot (RFC 5890 section 2.3.2.1).
func toASCII(domain string) (string, error) {
	name := strings.ToLower(strings.TrimSuffix(domain, "."))
	if !isASCII(name) {
		var err error
		if name, err = idna.Lookup.ToASCII(name); err != nil {
			return "", errors.Join(errName, err)
		}
	}
	if name == "" || len(name) > 253 {
		return "", errName
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, isNotInName) {
			return "", errName
		}
	}
	return name, nil
}

// isNotInName is generous: the underscore is seen in practice.
func isNotInName(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
}

func isASCII[T string | []byte](text T) bool {
	for i := range len(text) {
		if text[i] >= 0x80 {
			return false
		}
	}
	return true
}
