package auth

import (
	"strings"

	"postrider/relay"
)

// Senders are the addresses that a user may send as: addresses and, as "@domain",
// domains. None means any.
type Senders []string

// Allow says whether the user may send as the address. The null reverse-path always may
// be used: a client that forwards bounces needs it (RFC 5321 section 6.1). Of local parts only the letters of
// ASCII are the same in upper and lower case: the long s is not an s in anybody's name.
func (s Senders) Allow(a relay.Address) bool {
	if len(s) == 0 || a.IsNull() {
		return true
	}
	local := lowerASCII(strings.TrimSuffix(a.String(), "@"+a.Domain))
	for _, allowed := range s {
		at := strings.LastIndexByte(allowed, '@')
		if at < 0 {
			at = len(allowed) // postmaster has no domain
		}
		own, domain := allowed[:at], strings.TrimPrefix(allowed[at:], "@")
		if (own == "" && domain != "" || lowerASCII(own) == local) && strings.EqualFold(domain, a.Domain) {
			return true
		}
	}
	return false
}

func lowerASCII(text string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, text)
}

// CheckSender accepts an address or "@domain".
func CheckSender(sender string) error {
	if strings.HasPrefix(sender, "@") {
		sender = "any" + sender
	}
	_, err := relay.ParseAddress(sender)
	return err
}
