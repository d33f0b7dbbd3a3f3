package policy

import (
	"bytes"
	"mime"
	"strings"
)

// headerValue is the value of the first field of that name in a header section,
// unfolded, with encoded words decoded (RFC 2047); "" when there is none.
func headerValue(header []byte, name string) string {
	for len(header) > 0 {
		line := fieldEnd(header)
		if value, ok := cutField(header[:line], name); ok {
			return decode(value)
		}
		header = header[line:]
	}
	return ""
}

// fieldEnd is the length of the first field with its continuation lines (RFC 5322
// section 2.2.3).
func fieldEnd(header []byte) int {
	for end := 0; ; {
		i := bytes.IndexByte(header[end:], '\n')
		if i < 0 {
			return len(header)
		}
		end += i + 1
		if end == len(header) || header[end] != ' ' && header[end] != '\t' {
			return end
		}
	}
}

func cutField(field []byte, name string) (value []byte, ok bool) {
	if len(field) <= len(name) || !strings.EqualFold(string(field[:len(name)]), name) {
		return nil, false
	}
	// White space before the colon is obsolete but seen (RFC 5322 section 4.5).
	return bytes.CutPrefix(bytes.TrimLeft(field[len(name):], " \t"), []byte(":"))
}

// decode leaves a value in a charset that we do not know as it is.
func decode(value []byte) string {
	unfolded := strings.TrimSpace(strings.NewReplacer("\r", "", "\n", "").Replace(string(value)))
	var d mime.WordDecoder
	decoded, err := d.DecodeHeader(unfolded)
	if err != nil {
		return unfolded
	}
	return decoded
}
