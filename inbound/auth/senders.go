package auth

import (
	"strings"

	"postrider/relay"
)

// Senders are the addresses that a user may send as: addresses and, as "@domain",
// domains. None means any.
type Senders []string

// Allow says whether the user may send as the address. The null reverse-path always may
// be used: a client that forwards bounces needs it (RFC 5321 section 6.1).
func (s Senders) Allow(a relay.Address) bool {
	if len(s) == 0 || a.IsNull() {
		return true
	}
	for _, allowed := range s {
		if strings.EqualFold(allowed, a.String()) || strings.EqualFold(allowed, "@"+a.Domain) {
			return true
		}
	}
	return false
}

// CheckSender accepts an address or "@domain".
func CheckSender(sender string) error {
	if strings.HasPrefix(sender, "@") {
		sender = "any" + sender
	}
	_, err := relay.ParseAddress(sender)
	return err
}
