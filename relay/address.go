package relay

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Address is a mailbox. The zero Address is the null reverse-path. Local is kept as it
// was given, unquoted; Domain is in lower case, and is an address literal with its
// brackets where one was given. Only "postmaster" may stand without a domain (RFC 5321
// section 4.1.1.3).
type Address struct {
	Local  string
	Domain string
}

// The limits of RFC 5321 section 4.5.3.1, in octets. A local part over 64 is seen in
// real mail (VERP, SRS), so only the path as a whole is held to its limit.
const (
	maxPath   = 254
	maxDomain = 255
	maxLabel  = 63
)

// ErrAddress is the error of ParseAddress: the text is not a mailbox.
var ErrAddress = errors.New("not a valid address")

// IsNull says whether this is the null reverse-path.
func (a Address) IsNull() bool { return a == Address{} }

// String gives the address as it stands in a command, without angle brackets; "" for the
// null reverse-path. The local part is quoted where it must be.
func (a Address) String() string {
	if a.IsNull() {
		return ""
	}
	local := a.Local
	if !isDotString(local) {
		local = quote(local)
	}
	if a.Domain == "" {
		return local
	}
	return local + "@" + a.Domain
}

// IsASCII says whether the address can be sent without SMTPUTF8. A domain can always be,
// as A-labels, so the local part decides.
func (a Address) IsASCII() bool { return isASCII(a.Local) }

// ParseAddress reads a mailbox as it stands in a path (RFC 5321 section 4.1.2, with the
// UTF-8 of RFC 6531), without angle brackets and without a source route. "" is the null
// reverse-path. The error wraps ErrAddress.
func ParseAddress(text string) (Address, error) {
	if text == "" {
		return Address{}, nil
	}
	a, err := parseMailbox(text)
	if err != nil {
		return Address{}, fmt.Errorf("%q: %w: %s", text, ErrAddress, err)
	}
	return a, nil
}

func parseMailbox(text string) (Address, error) {
	if len(text) > maxPath {
		return Address{}, fmt.Errorf("longer than %d octets", maxPath)
	}
	if !utf8.ValidString(text) {
		return Address{}, errors.New("not UTF-8")
	}
	if strings.EqualFold(text, "postmaster") {
		return Address{Local: text}, nil
	}
	local, domain, err := splitLocal(text)
	if err != nil {
		return Address{}, err
	}
	if err := checkDomain(domain); err != nil {
		return Address{}, err
	}
	return Address{Local: local, Domain: lowerDomain(domain)}, nil
}

// splitLocal reads the local part, quoted or not, and what follows the "@".
func splitLocal(text string) (local, domain string, err error) {
	if text[0] != '"' {
		local, domain, ok := strings.Cut(text, "@")
		if !ok {
			return "", "", errors.New("no domain")
		}
		if !isDotString(local) {
			return "", "", errors.New("bad local part")
		}
		return local, domain, nil
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			if i+1 >= len(text) || text[i+1] != '@' {
				return "", "", errors.New("no domain after the quoted local part")
			}
			return b.String(), text[i+2:], nil
		case c == '\\' && i+1 < len(text) && isQuotable(text[i+1]):
			i++
			b.WriteByte(text[i])
		case c == '\\' || !isQuotable(c):
			return "", "", errors.New("bad character in the quoted local part")
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errors.New("quote not closed")
}

func isQuotable(c byte) bool { return c >= ' ' && c != 0x7f }

// isDotString says whether the text can stand as a local part without quotes. Leading,
// trailing and doubled dots are not allowed by RFC 5321, but they exist in real
// mailboxes and mean the same everywhere, so they pass.
func isDotString(text string) bool {
	if text == "" {
		return false
	}
	for i := range len(text) {
		c := text[i]
		if c <= ' ' || c == 0x7f || strings.IndexByte(`()<>[]:;@\,"`, c) >= 0 {
			return false
		}
	}
	return true
}

func quote(local string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(local) {
		if local[i] == '"' || local[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(local[i])
	}
	b.WriteByte('"')
	return b.String()
}

// checkDomain accepts a name of one or more labels or an address literal.
func checkDomain(domain string) error {
	if domain == "" {
		return errors.New("no domain")
	}
	if domain[0] == '[' {
		_, ok := ParseLiteral(domain)
		if !ok {
			return errors.New("bad address literal")
		}
		return nil
	}
	if len(domain) > maxDomain {
		return fmt.Errorf("domain longer than %d octets", maxDomain)
	}
	for label := range strings.SplitSeq(domain, ".") {
		if !isLabel(label) {
			return fmt.Errorf("bad domain label %q", label)
		}
	}
	return nil
}

// isLabel accepts letters, digits, hyphens inside, UTF-8, and the underscore that is
// seen in practice.
func isLabel(label string) bool {
	if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	for i := range len(label) {
		c := label[i]
		ok := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c >= utf8.RuneSelf
		if !ok {
			return false
		}
	}
	return !strings.ContainsFunc(label, isHidden)
}

// isHidden says whether a character, in a label, is not what it seems: one that becomes a full
// stop or vanishes when the name is looked up (UTS 46), or changes how what is around it is shown. None
// can stand in a U-label (RFC 5892); the joiners of some scripts can.
func isHidden(r rune) bool {
	switch r {
	case '\u3002', '\uff0e', '\uff61':
		return true
	case '\u200c', '\u200d':
		return false
	}
	return r >= utf8.RuneSelf && unicode.In(r, unicode.C, unicode.Z, unicode.Variation_Selector)
}

func lowerDomain(domain string) string { return strings.ToLower(domain) }

// ParseLiteral reads an address literal with its brackets: [192.0.2.1] or
// [IPv6:2001:db8::1] (RFC 5321 section 4.1.3).
func ParseLiteral(text string) (netip.Addr, bool) {
	inner, ok := strings.CutPrefix(text, "[")
	if !ok {
		return netip.Addr{}, false
	}
	if inner, ok = strings.CutSuffix(inner, "]"); !ok {
		return netip.Addr{}, false
	}
	const tag = "ipv6:"
	if len(inner) > len(tag) && strings.EqualFold(inner[:len(tag)], tag) {
		addr, err := netip.ParseAddr(inner[len(tag):])
		return addr, err == nil && addr.Is6() && addr.Zone() == ""
	}
	addr, err := netip.ParseAddr(inner)
	return addr, err == nil && addr.Is4()
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
