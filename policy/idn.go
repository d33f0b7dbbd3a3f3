package policy

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"postrider/relay"
)

// folded gives a domain, an address, a pattern of them or a part of a domain in the one form in which
// they are compared: labels with letters of all kinds as people write them (U-labels, RFC 5890 section
// 2.3.2.1) and never as they are looked up ("xn--"). What cannot be read stays as it is.
func folded(text string) string {
	if isPlain(text) {
		return text
	}
	at := strings.LastIndexByte(text, '@') + 1
	local, domain := text[:at], text[at:]
	if whole, err := idna.Lookup.ToUnicode(domain); err == nil {
		return local + whole
	}
	labels := strings.Split(domain, ".")
	for i, label := range labels {
		if isPlain(label) {
			continue
		}
		if mapped, err := idna.Lookup.ToUnicode(label); err == nil {
			labels[i] = mapped
		}
	}
	return local + strings.Join(labels, ".")
}

// isPlain says that a text has one form only.
func isPlain(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case c >= utf8.RuneSelf:
			return false
		case c == '-' && i >= 3 && text[i-1] == '-' && text[i-2]|0x20 == 'n' && text[i-3]|0x20 == 'x':
			return false
		}
	}
	return true
}

// compared is the address as conditions see it.
func (a address) compared() address {
	if isPlain(a.Domain) {
		return a
	}
	b := relay.Address{Local: a.Local, Domain: folded(a.Domain)}
	return address{Address: b.String(), Local: b.Local, Domain: b.Domain}
}
