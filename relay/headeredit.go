package relay

import (
	"bytes"
	"mime"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// HeaderEdit is a change of the header section. Name is a field's name in any case; with
// Remove it may be a pattern with * and ?. With Remove, fields of the name go; with a Value
// one is put in behind the others. A Value with Remove thus replaces.
type HeaderEdit struct {
	Name   string
	Remove bool
	Value  string
	// From, where it is not "", keeps the change to fields with this (unfolded) value, which
	// then get Value in place.
	From string
}

// edit makes the changes, in order. What it writes is always a field of its own: no value
// can end it early.
func (m *Message) edit(edits []HeaderEdit) {
	before := len(m.Header)
	for _, e := range edits {
		switch {
		case e.From != "":
			m.Header = eachField(m.Header, func(field []byte, name string) []byte {
				if !strings.EqualFold(name, e.Name) || fieldValue(field) != e.From {
					return field
				}
				return m.field(string(field[:len(name)]), e.Value)
			})
			continue
		case e.Remove:
			pattern := strings.ToLower(e.Name)
			m.Header = eachField(m.Header, func(field []byte, name string) []byte {
				if matches, err := path.Match(pattern, strings.ToLower(name)); err == nil && matches && name != "" {
					return nil
				}
				return field
			})
		}
		if e.Value != "" {
			m.Header = append(withoutEnd(m.Header), append(m.field(e.Name, e.Value), "\r\n"...)...)
		}
	}
	m.Size += int64(len(m.Header) - before)
}

// eachField builds a header section anew from what f makes of each field; the empty line
// at its end stays. It never changes the section that it is given.
func eachField(section []byte, f func(field []byte, name string) []byte) []byte {
	header := make([]byte, 0, len(section)+64)
	for len(section) > 0 {
		n := fieldEnd(section)
		field := section[:n]
		section = section[n:]
		if name := rawName(field); name != "" {
			field = f(field, name)
		}
		header = append(header, field...)
	}
	return header
}

// withoutEnd is a copy of a section up to the empty line that ends it.
func withoutEnd(section []byte) []byte {
	return bytes.Clone(bytes.TrimSuffix(section, []byte("\r\n")))
}

// rawName is the name of a field as it is written, "" for the empty line.
func rawName(field []byte) string {
	name, _, found := bytes.Cut(field, []byte{':'})
	if !found {
		return ""
	}
	return string(bytes.TrimRight(name, " \t"))
}

// fieldValue is the unfolded value of a field.
func fieldValue(field []byte) string {
	_, value, _ := strings.Cut(string(field), ":")
	return strings.TrimSpace(strings.ReplaceAll(value, "\r\n", ""))
}

// The line lengths of RFC 5322 section 2.1.1: what is wished for, and what there must not be more of.
const (
	foldAt      = 76
	longestWord = 900
)

// encoded encodes the words of a value that are not ASCII (RFC 2047). Others, such as an address
// behind a name, stay what they are.
func encoded(value string) string {
	var done []string
	for words := quotedWords(value); len(words) > 0; {
		n := slices.IndexFunc(words, isASCII)
		if n < 0 {
			n = len(words)
		}
		if n == 0 {
			done, words = append(done, words[0]), words[1:]
			continue
		}
		// The space between encoded words does not count, so those in a row are one. The letters
		// of an address list must not show within (RFC 2047 section 5).
		text := strings.ToValidUTF8(strings.Join(words[:n], " "), "?")
		encoder := mime.QEncoding
		if strings.ContainsAny(text, `"(),.:;<>@[\]`) {
			encoder = mime.BEncoding
		}
		done, words = append(done, encoder.Encode("utf-8", text)), words[n:]
	}
	return strings.Join(done, " ")
}

// quotedWords splits a value at white space, but not within quotes.
func quotedWords(value string) []string {
	var words []string
	quoted := false
	for word := range strings.FieldsSeq(value) {
		if quoted {
			words[len(words)-1] += " " + word
		} else {
			words = append(words, word)
		}
		quoted = quoted != (strings.Count(word, `"`)%2 == 1)
	}
	return words
}

// field writes a field, folded (RFC 5322 section 2.2.3). What is not ASCII is encoded unless the
// message may have it.
func (m *Message) field(name, value string) []byte {
	value = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, value))
	if !isASCII(value) && !m.Envelope.SMTPUTF8 || !utf8.ValidString(value) {
		value = encoded(value)
	}
	line := name + ":"
	var b []byte
	for word := range strings.FieldsSeq(value) {
		for len(word) > longestWord {
			b = append(append(b, line...), "\r\n"...)
			line, word = " "+word[:longestWord], word[longestWord:]
		}
		if len(line)+1+len(word) > foldAt && len(line) > len(name)+1 {
			b = append(append(b, line...), "\r\n"...)
			line = ""
		}
		line += " " + word
	}
	return append(append(b, line...), "\r\n"...)
}
