package relay

import (
	"net/mail"
	"strings"
	"unicode/utf8"
)

// Mailboxes gives the addresses in the unfolded value of an address field such as From (RFC 5322
// section 3.4), those in groups too, byte for byte as they stand there but for the quotes of a local
// part. They need not be ones that ParseAddress takes. Names are only passed over: they may be
// in any charset, known or not, declared or not, but bytes of ASCII in them mean what they mean in ASCII.
// A value that is not such a list is an error, so that nothing in it is overlooked.
func Mailboxes(value string) ([]string, error) {
	list, err := mail.ParseAddressList(veil(value))
	if err != nil {
		return nil, err
	}
	found := make([]string, len(list))
	for i, m := range list {
		found[i] = unveil(m.Address)
	}
	return found, nil
}

// veils are 256 private letters, one for each byte. net/mail refuses what is not UTF-8, and names in
// encoded words that it cannot decode (RFC 2047) or that are empty; behind a veil a byte is to it a
// letter like any other, and "=?" begins nothing.
const veils = '\U0010ff00'

// veil hides question marks, bytes that are not UTF-8, and veils that others have put there.
func veil(value string) string {
	var b strings.Builder
	for i := 0; i < len(value); {
		r, size := utf8.DecodeRuneInString(value[i:])
		if r == '?' || r >= veils || r == utf8.RuneError && size == 1 {
			r, size = veils+rune(value[i]), 1
		}
		b.WriteRune(r)
		i += size
	}
	return b.String()
}

func unveil(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r >= veils {
			b.WriteByte(byte(r - veils))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
