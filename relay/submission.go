package relay

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"
)

// complete makes a message of a mail program one that can go out (RFC 6409 section 8,
// conformance I09). It happens before anything is signed; a relayed message is never touched.
func (m *Message) complete(hostname string) {
	header := make([]byte, 0, len(m.Header)+256)
	seen := make(map[string]bool)
	for section := m.Header; len(section) > 0; {
		n := fieldEnd(section)
		field := section[:n]
		section = section[n:]
		name := fieldName(field)
		seen[name] = true
		switch name {
		case "bcc", "resent-bcc": // RFC 5322 section 3.6.3: whom it names is nobody else's business
			continue
		case "from", "sender", "reply-to", "to", "cc", "resent-from", "resent-sender", "resent-to", "resent-cc":
			field = qualify(field, len(name), hostname)
		}
		header = append(header, fold(field)...)
	}
	m.Size += int64(len(header) - len(m.Header))
	m.Header = header
	m.prepend(m.missing(seen, hostname))
}

// missing gives the fields that a message must or should have (RFC 5322 section 3.6) and
// this one does not.
func (m *Message) missing(seen map[string]bool, hostname string) string {
	var b strings.Builder
	if !seen["date"] {
		fmt.Fprintf(&b, "Date: %s\r\n", m.Received.Format(time.RFC1123Z))
	}
	if !seen["from"] {
		from := m.Envelope.Sender
		if from.IsNull() {
			from.Local = "MAILER-DAEMON"
		}
		if from.Domain == "" {
			from.Domain = hostname
		}
		fmt.Fprintf(&b, "From: <%s>\r\n", from)
	}
	if !seen["message-id"] {
		fmt.Fprintf(&b, "Message-ID: <%s@%s>\r\n", m.ID, hostname)
	}
	return b.String()
}

// fieldName is the name of a field in lower case, "" for the empty line that ends the section.
func fieldName(field []byte) string {
	name, _, found := bytes.Cut(field, []byte{':'})
	if !found {
		return ""
	}
	return string(bytes.ToLower(bytes.TrimRight(name, " \t")))
}

// qualify gives the addresses of a field, whose name has the given length, a domain where
// they have none. Nothing else of the field changes.
func qualify(field []byte, name int, domain string) []byte {
	ends := unqualified(field, bytes.IndexByte(field[name:], ':')+name+1)
	for _, end := range slices.Backward(ends) {
		field = slices.Concat(field[:end], []byte("@"+domain), field[end:])
	}
	return field
}

// unqualified finds the addresses without a domain in an address list (RFC 5322 section
// 3.4) and returns where they end. An address stands in angle brackets, or is a single
// word by itself between commas.
func unqualified(field []byte, from int) []int {
	var ends []int
	var list addressList
	for i := from; i < len(field); i++ {
		switch c := field[i]; {
		case list.skips(field, &i):
		case c == '<':
			list.angle, list.end, list.at = true, 0, false
		case c == '>':
			ends = list.close(ends)
			list.done = true
		case c == ',' || c == ';':
			ends = list.close(ends)
			list = addressList{}
		case c == ':' && !list.angle: // a group's name, or a source route
			list = addressList{}
		case c == '@':
			list.at = true
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			list.apart = list.end > 0
		default:
			list.add(i + 1)
		}
	}
	return list.close(ends)
}

// addressList is what is known of the address that is being read.
type addressList struct {
	// end is behind its last character, 0 before the first.
	end int
	// at says that it has a domain, angle that it is in angle brackets, done that these
	// have closed, apart that white space has followed a word, words that another word followed.
	at, angle, done, apart, words bool
}

// skips steps over a quoted string, a domain literal or a comment.
func (a *addressList) skips(field []byte, i *int) bool {
	switch field[*i] {
	case '"':
		a.skip(field, i, '"')
		a.add(*i + 1)
	case '[':
		a.skip(field, i, ']')
		a.add(*i + 1)
	case '(':
		a.skip(field, i, ')')
	default:
		return false
	}
	return true
}

// skip goes on to what closes that which begins at i. Where nothing does, there is no knowing
// where the address ends, and it counts as one with a domain.
func (a *addressList) skip(field []byte, i *int, with byte) {
	end := closing(field, *i, with)
	if end < 0 {
		end, a.at = len(field)-1, true
	}
	*i = end
}

// closing is the index of what closes that which begins at i, -1 if nothing does. Comments nest.
func closing(field []byte, i int, with byte) int {
	depth := 0
	for j := i + 1; j < len(field); j++ {
		switch c := field[j]; {
		case c == '\\':
			j++
		case c == with && depth == 0:
			return j
		case c == with:
			depth--
		case c == '(' && with == ')':
			depth++
		}
	}
	return -1
}

func (a *addressList) add(end int) {
	a.words = a.words || a.apart
	a.end = end
}

// close ends the address and adds it to those without a domain if it is one.
func (a *addressList) close(ends []int) []int {
	if !a.done && !a.at && a.end > 0 && (a.angle || !a.words) {
		ends = append(ends, a.end)
	}
	return ends
}
