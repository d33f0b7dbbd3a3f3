package relay

import (
	"bytes"
	"errors"
	"iter"
	"slices"
	"strings"
)

// header collects the header section of a message from normalised lines and mends what
// clients get wrong about it (conformance I08): a leading mbox "From " line is dropped,
// and the empty line is put in where the section ends without one.
type header struct {
	limit int
	// strict makes what would be mended an error.
	strict bool
	buf    []byte
	// line is the start of the line in buf that has not been judged yet.
	line int
	// hops counts Received fields.
	hops int
	done bool
}

var (
	errHeaderTooLarge = errors.New("header section over the limit")
	errNoField        = errors.New("a line in the header section that is no field")
)

// take consumes the bytes of p that belong to the header section and returns the rest, which
// belongs to the body. Lines in p end in CRLF.
func (h *header) take(p []byte) (body []byte, err error) {
	for !h.done && len(p) > 0 {
		n := bytes.IndexByte(p, '\n') + 1
		if n == 0 {
			n = len(p)
		}
		h.buf = append(h.buf, p[:n]...)
		p = p[n:]
		if len(h.buf) > h.limit {
			return nil, errHeaderTooLarge
		}
		if h.buf[len(h.buf)-1] == '\n' {
			if p, err = h.judge(p); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

// judge decides what the line just completed is. A line that cannot stand in a header
// goes in front of the rest, as the first of the body.
func (h *header) judge(rest []byte) ([]byte, error) {
	line := h.buf[h.line:]
	switch {
	case len(line) == 2: // CRLF alone
		h.done = true
	case h.line == 0 && h.strict && isMboxFrom(line):
		return nil, errNoField
	case h.line == 0 && isMboxFrom(line):
		h.buf = h.buf[:0]
	case isContinuation(line) && h.line > 0, isField(line):
		if isReceived(line) {
			h.hops++
		}
		h.line = len(h.buf)
	case h.strict:
		return nil, errNoField
	default:
		rest = append(bytes.Clone(line), rest...)
		h.buf = append(h.buf[:h.line], "\r\n"...)
		h.done = true
	}
	return rest, nil
}

// end closes a section that the content ended in.
func (h *header) end() {
	if !h.done {
		h.buf = append(h.buf, "\r\n"...)
		h.done = true
	}
}

func isMboxFrom(line []byte) bool {
	return bytes.HasPrefix(line, []byte("From ")) || bytes.HasPrefix(line, []byte(">From "))
}

func isContinuation(line []byte) bool { return line[0] == ' ' || line[0] == '\t' }

// isField says whether the line begins a header field: a name of printable ASCII and a colon
// (RFC 5322 section 2.2), with the white space before it that section 4.5 tolerates.
func isField(line []byte) bool {
	name, _, found := bytes.Cut(line, []byte{':'})
	name = bytes.TrimRight(name, " \t")
	if !found || len(name) == 0 {
		return false
	}
	for _, c := range name {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

func isReceived(line []byte) bool {
	const name = "received"
	return len(line) > len(name) && bytes.IndexByte([]byte(": \t"), line[len(name)]) >= 0 &&
		bytes.EqualFold(line[:len(name)], []byte(name))
}

// Field returns the unfolded value of the first header field of that name in the message's
// header, "" when there is none.
func (m *Message) Field(name string) string {
	for value := range m.fields(name) {
		return value
	}
	return ""
}

// Fields returns the unfolded values of all header fields of that name.
func (m *Message) Fields(name string) []string { return slices.Collect(m.fields(name)) }

func (m *Message) fields(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for rest := m.Header; len(rest) > 0; {
			n := fieldEnd(rest)
			field := rest[:n]
			rest = rest[n:]
			if len(field) <= len(name) || !strings.EqualFold(string(field[:len(name)]), name) {
				continue
			}
			value, isValue := bytes.CutPrefix(bytes.TrimLeft(field[len(name):], " \t"), []byte{':'})
			if isValue && !yield(strings.ReplaceAll(string(bytes.TrimSpace(value)), "\r\n", "")) {
				return
			}
		}
	}
}

// fieldEnd is the length of the first field in the section, its folded lines included.
func fieldEnd(section []byte) int {
	end := 0
	for {
		n := bytes.IndexByte(section[end:], '\n') + 1
		if n == 0 {
			return len(section)
		}
		end += n
		if end >= len(section) || !isContinuation(section[end:]) {
			return end
		}
	}
}
