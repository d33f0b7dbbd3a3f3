package dkim

import (
	"bytes"
	"fmt"
	"net/mail"
	"strings"
)

// maxHeader bounds the header section, in bytes.
const maxHeader = 1 << 20

// ErrHeader is why a message is not signed: its header section is not one that a
// verifier would read the same way.
var ErrHeader error = &unsignable{"header", "malformed header"}

// unsignable is a reason for not signing a message.
type unsignable struct{ word, text string }

func (u *unsignable) Error() string { return u.text }

// Unsignable gives the reason in a word, for metrics.
func (u *unsignable) Unsignable() string { return u.word }

// header is the fields of a message's header section, in their order.
type header []field

// field is one field: the name in lower case and the whole of it as it stands, folded,
// with the line end.
type field struct {
	name string
	raw  []byte
}

// value is what follows the colon, as it stands.
func (f *field) value() string {
	_, value, _ := bytes.Cut(f.raw, []byte{':'})
	return string(value)
}

// parseHeader splits a section, which ends with an empty line. The fields share its bytes.
func parseHeader(section []byte) (header, error) {
	if len(section) > maxHeader {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrHeader, maxHeader)
	}
	h := make(header, 0, 24)
	for rest := section; ; {
		n := bytes.IndexByte(rest, '\n') + 1
		if n == 0 {
			return nil, fmt.Errorf("%w: no empty line ends it", ErrHeader)
		}
		line := bytes.TrimRight(rest[:n], "\r\n")
		switch {
		case len(line) == 0:
			return h, nil
		case isSpace(line[0]) && len(h) == 0:
			return nil, fmt.Errorf("%w: begins with a continuation line", ErrHeader)
		case isSpace(line[0]):
			last := &h[len(h)-1]
			last.raw = last.raw[:len(last.raw)+n] // it lies behind in the section
		default:
			name, ok := fieldName(line)
			if !ok {
				return nil, fmt.Errorf("%w: %.60q is not a field", ErrHeader, line)
			}
			h = append(h, field{name: name, raw: rest[:n]})
		}
		rest = rest[n:]
	}
}

// fieldName gives the name in lower case: printable ASCII without a colon (RFC 5322
// section 2.2), with the white space behind it that section 4.5 tolerates.
func fieldName(line []byte) (string, bool) {
	name, _, ok := bytes.Cut(line, []byte{':'})
	name = bytes.TrimRight(name, " \t")
	for _, c := range name {
		if c <= ' ' || c > '~' {
			return "", false
		}
	}
	return strings.ToLower(string(name)), ok && len(name) > 0
}

func (h header) count(name string) int {
	n := 0
	for i := range h {
		if h[i].name == name {
			n++
		}
	}
	return n
}

// appendRelaxed appends a field in its relaxed form (RFC 6376 section 3.4.2) without the
// line end.
func appendRelaxed(dst []byte, name string, value []byte) []byte {
	dst = append(append(dst, name...), ':')
	start, space := len(dst), false
	for _, c := range value {
		switch {
		case isSpace(c):
			space = true
		case c == '\r' || c == '\n':
		default:
			if space && len(dst) > start {
				dst = append(dst, ' ')
			}
			space = false
			dst = append(dst, c)
		}
	}
	return dst
}

// appendTo appends the field in its canonical form, with the line end.
func (f *field) appendTo(dst []byte, relaxed bool) []byte {
	if !relaxed {
		return append(dst, f.raw...)
	}
	_, value, _ := bytes.Cut(f.raw, []byte{':'})
	return append(appendRelaxed(dst, f.name, value), "\r\n"...)
}

// appendNamed appends the fields that a signature names, each name standing for the last
// field of it that has not been taken (RFC 6376 section 5.4.2), and for nothing where
// there is none.
func (h header) appendNamed(dst []byte, names []string, relaxed bool) []byte {
	taken := make([]bool, len(h))
	for _, name := range names {
		for i := len(h) - 1; i >= 0; i-- {
			if h[i].name == name && !taken[i] {
				taken[i] = true
				dst = h[i].appendTo(dst, relaxed)
				break
			}
		}
	}
	return dst
}

// author gives the domain of the From field. Authors of several domains (RFC 5322 section
// 3.6.2) leave no one domain that a signature could speak for: then it is "", and all say
// which.
func (h header) author() (domain string, all []string, err error) {
	if n := h.count("from"); n != 1 {
		return "", nil, fmt.Errorf("%w: %d From fields, where one belongs", ErrHeader, n)
	}
	all, err = h.domains("from")
	if err != nil {
		return "", nil, err
	}
	if len(all) == 1 {
		domain = all[0]
	}
	return domain, all, nil
}

// domains gives those of the addresses in the last field of the name, each once, in lower case.
func (h header) domains(name string) ([]string, error) {
	var value string
	for i := range h {
		if h[i].name == name {
			value = h[i].value()
		}
	}
	// The display name is of no interest, in whatever charset it is: words that are encoded (RFC 2047) stay so, which
	// to net/mail would have to be ones that it can decode.
	unfolded := strings.NewReplacer("\r", "", "\n", "").Replace(value)
	list, err := mail.ParseAddressList(strings.ReplaceAll(strings.ToValidUTF8(unfolded, "?"), "=?", "=="))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrHeader, name, err)
	}
	var domains []string
	seen := make(map[string]bool, 1)
	for _, a := range list {
		domain := strings.ToLower(a.Address[strings.LastIndexByte(a.Address, '@')+1:])
		if !seen[domain] {
			seen[domain] = true
			domains = append(domains, domain)
		}
	}
	if len(domains) == 0 {
		return nil, fmt.Errorf("%w: %s has no address", ErrHeader, name)
	}
	return domains, nil
}
