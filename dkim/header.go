package dkim

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/mail"
	"strings"
)

// maxHeader bounds the header section in memory, in bytes.
const maxHeader = 1 << 20

// ErrHeader is why a message is not signed: its header section is not one that a
// verifier would read the same way.
var ErrHeader = errors.New("malformed header")

// header is a message's header section: the bytes as they are, and its fields.
type header struct {
	raw    []byte
	fields []field
}

// field is one field: the name in lower case and the value, folded as it was.
type field struct{ name, value string }

// readHeader reads up to and with the empty line that ends the section.
func readHeader(r *bufio.Reader) (*header, error) {
	h := new(header)
	for start := 0; ; start = len(h.raw) {
		for more := true; more; {
			part, err := r.ReadSlice('\n')
			h.raw = append(h.raw, part...)
			more = errors.Is(err, bufio.ErrBufferFull)
			switch {
			case len(h.raw) > maxHeader:
				return nil, fmt.Errorf("%w: longer than %d bytes", ErrHeader, maxHeader)
			case errors.Is(err, io.EOF):
				return nil, fmt.Errorf("%w: no empty line ends it", ErrHeader)
			case err != nil && !more:
				return nil, fmt.Errorf("read the message: %w", err)
			}
		}
		line := bytes.TrimRight(h.raw[start:], "\r\n")
		if len(line) == 0 {
			return h, nil
		}
		if err := h.add(string(line)); err != nil {
			return nil, err
		}
	}
}

// add takes a line in: a new field or the continuation of the last.
func (h *header) add(line string) error {
	if line[0] == ' ' || line[0] == '\t' {
		if len(h.fields) == 0 {
			return fmt.Errorf("%w: begins with a continuation line", ErrHeader)
		}
		h.fields[len(h.fields)-1].value += "\r\n" + line
		return nil
	}
	name, value, ok := strings.Cut(line, ":")
	name = strings.TrimRight(name, " \t")
	if !ok || !isFieldName(name) {
		return fmt.Errorf("%w: %.60q is not a field", ErrHeader, line)
	}
	h.fields = append(h.fields, field{name: strings.ToLower(name), value: value})
	return nil
}

// isFieldName accepts printable ASCII without a colon (RFC 5322 section 2.2).
func isFieldName(name string) bool {
	for i := range len(name) {
		if name[i] <= ' ' || name[i] > '~' {
			return false
		}
	}
	return name != ""
}

func (h *header) count(name string) int {
	n := 0
	for _, f := range h.fields {
		if f.name == name {
			n++
		}
	}
	return n
}

// authors gives the domains of the From field, each once, in lower case.
func (h *header) authors() ([]string, error) {
	if n := h.count("from"); n != 1 {
		return nil, fmt.Errorf("%w: %d From fields, where one belongs", ErrHeader, n)
	}
	var value string
	for _, f := range h.fields {
		if f.name == "from" {
			value = f.value
		}
	}
	// The display name is of no interest, in whatever charset it is.
	parser := mail.AddressParser{WordDecoder: &mime.WordDecoder{
		CharsetReader: func(_ string, input io.Reader) (io.Reader, error) { return input, nil },
	}}
	unfolded := strings.NewReplacer("\r", "", "\n", "").Replace(value)
	list, err := parser.ParseList(strings.ToValidUTF8(unfolded, "?"))
	if err != nil {
		return nil, fmt.Errorf("%w: From: %w", ErrHeader, err)
	}
	var domains []string
	seen := make(map[string]bool)
	for _, a := range list {
		domain := strings.ToLower(a.Address[strings.LastIndexByte(a.Address, '@')+1:])
		if !seen[domain] {
			seen[domain] = true
			domains = append(domains, domain)
		}
	}
	if len(domains) == 0 {
		return nil, fmt.Errorf("%w: From has no address", ErrHeader)
	}
	return domains, nil
}
