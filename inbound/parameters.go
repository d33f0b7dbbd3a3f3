package inbound

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"postrider/relay"
)

// mailCommand is what a MAIL command says.
type mailCommand struct {
	envelope relay.Envelope
	// size is SIZE in bytes, 0 when it was not given (RFC 1870).
	size int64
}

// offered says whether all extensions that the parameters use are.
func (m *mailCommand) offered(offers func(keyword string) bool) bool {
	e := &m.envelope
	return (m.size == 0 || offers("SIZE")) && (!e.EightBit || offers("8BITMIME")) && (!e.SMTPUTF8 || offers("SMTPUTF8")) &&
		(!e.RequireTLS || offers("REQUIRETLS")) && (e.Return == relay.ReturnUnspecified && e.EnvelopeID == "" || offers("DSN"))
}

// parseMail reads the argument of MAIL (RFC 5321 section 4.1.1.2). Home is the domain of an
// address without one, "" where that is refused.
func parseMail(argument, home string) (mailCommand, *relay.Reply) {
	var m mailCommand
	text, rest, ok := cutPath(argument, "FROM:")
	if !ok {
		return m, &replySyntax
	}
	if reply := eachParameter(rest, m.set); reply != nil {
		return m, reply
	}
	sender, reply := parsePath(qualified(text, home), m.envelope.SMTPUTF8, &replySender)
	m.envelope.Sender = sender
	return m, reply
}

// set takes one parameter of MAIL.
func (m *mailCommand) set(key, value string) *relay.Reply {
	ok := true
	e := &m.envelope
	switch key {
	case "SIZE":
		size, err := strconv.ParseUint(value, 10, 63)
		m.size, ok = int64(size), err == nil
	case "BODY":
		e.EightBit = strings.EqualFold(value, "8BITMIME")
		ok = e.EightBit || strings.EqualFold(value, "7BIT")
	case "SMTPUTF8":
		e.SMTPUTF8, ok = true, value == ""
	case "REQUIRETLS":
		e.RequireTLS, ok = true, value == ""
	case "RET":
		e.Return, ok = parseReturn(value)
	case "ENVID":
		e.EnvelopeID, ok = decodeXtext(value)
		ok = ok && value != "" && len(value) <= 100 // RFC 3461 section 4.4
	case "AUTH":
		// What the client knows of the submitter is not passed on (RFC 4954 section 5).
		_, ok = decodeXtext(value)
	default:
		return &replyParameter
	}
	if !ok {
		return &replySyntax
	}
	return nil
}

// parseRcpt reads the argument of RCPT (RFC 5321 section 4.1.1.3).
func parseRcpt(argument, home string, utf8 bool) (relay.Recipient, *relay.Reply) {
	var r recipient
	text, rest, ok := cutPath(argument, "TO:")
	if !ok {
		return r.Recipient, &replySyntax
	}
	if text == "" {
		return r.Recipient, &replyRecipient
	}
	if reply := eachParameter(rest, r.set); reply != nil {
		return r.Recipient, reply
	}
	address, reply := parsePath(qualified(text, home), utf8, &replyRecipient)
	r.Address = address
	return r.Recipient, reply
}

// recipient is a relay.Recipient in the making.
type recipient struct{ relay.Recipient }

// set takes one parameter of RCPT.
func (r *recipient) set(key, value string) *relay.Reply {
	var ok bool
	switch key {
	case "NOTIFY":
		r.Notify, ok = parseNotify(value)
	case "ORCPT":
		r.Original, ok = parseOriginal(value)
	default:
		return &replyParameter
	}
	if !ok {
		return &replySyntax
	}
	return nil
}

// cutPath takes the keyword and the path off the argument. The path comes without its angle
// brackets and source route; clients that leave the brackets out are understood.
func cutPath(argument, keyword string) (path, rest string, ok bool) {
	if len(argument) < len(keyword) || !strings.EqualFold(argument[:len(keyword)], keyword) {
		return "", "", false
	}
	argument = strings.TrimSpace(argument[len(keyword):])
	if argument == "" {
		return "", "", false
	}
	if argument[0] != '<' {
		path, rest, _ = strings.Cut(argument, " ")
		return path, rest, true
	}
	end := closing(argument)
	if end < 0 {
		return "", "", false
	}
	path, rest = argument[1:end], argument[end+1:]
	if rest != "" && rest[0] != ' ' && rest[0] != '\t' {
		return "", "", false
	}
	if path != "" && path[0] == '@' {
		// A source route must be accepted and should be ignored (RFC 5321 appendix C).
		if _, path, ok = strings.Cut(path, ":"); !ok || path == "" {
			return "", "", false
		}
	}
	return path, rest, true
}

// closing is the index of the angle bracket that closes the path, -1 if there is none.
func closing(text string) int {
	quoted := false
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == '>' && !quoted:
			return i
		}
	}
	return -1
}

// qualified gives a local part by itself the domain. Postmaster needs none.
func qualified(text, home string) string {
	if home == "" || text == "" || strings.Contains(text, "@") || strings.EqualFold(text, "postmaster") {
		return text
	}
	return text + "@" + home
}

func parsePath(text string, mayUTF8 bool, bad *relay.Reply) (relay.Address, *relay.Reply) {
	a, err := relay.ParseAddress(text)
	if err != nil {
		return relay.Address{}, bad.Because(err)
	}
	if !mayUTF8 && !isASCII(text) {
		return relay.Address{}, &replyNotASCII
	}
	return a, nil
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// eachParameter hands over the parameters, keys in upper case, and refuses a repeated one.
func eachParameter(text string, set func(key, value string) *relay.Reply) *relay.Reply {
	seen := make(map[string]bool, 4)
	for parameter := range strings.FieldsSeq(text) {
		key, value, _ := strings.Cut(parameter, "=")
		key = strings.ToUpper(key)
		if seen[key] {
			return &replySyntax
		}
		seen[key] = true
		if reply := set(key, value); reply != nil {
			return reply
		}
	}
	return nil
}

func parseReturn(value string) (relay.Return, bool) {
	switch strings.ToUpper(value) {
	case "FULL":
		return relay.ReturnFull, true
	case "HDRS":
		return relay.ReturnHeaders, true
	}
	return relay.ReturnUnspecified, false
}

// parseNotify reads NOTIFY. NEVER stands alone (RFC 3461 section 4.1).
func parseNotify(value string) (relay.Notify, bool) {
	var set relay.Notify
	for word := range strings.SplitSeq(value, ",") {
		switch strings.ToUpper(word) {
		case "NEVER":
			set |= relay.NotifyNever
		case "SUCCESS":
			set |= relay.NotifySuccess
		case "FAILURE":
			set |= relay.NotifyFailure
		case "DELAY":
			set |= relay.NotifyDelay
		default:
			return 0, false
		}
	}
	return set, set&relay.NotifyNever == 0 || set == relay.NotifyNever
}

// parseOriginal reads ORCPT, "type;address" with the address in xtext, or for the type utf-8
// in the form of RFC 6533 section 3.
func parseOriginal(value string) (string, bool) {
	kind, address, ok := strings.Cut(value, ";")
	if !ok || kind == "" || address == "" || len(value) > 500 { // RFC 3461 section 4.2
		return "", false
	}
	decode := decodeXtext
	if strings.EqualFold(kind, "utf-8") {
		decode = decodeUnitext
	}
	if address, ok = decode(address); !ok || !isASCII(kind) {
		return "", false
	}
	return kind + ";" + address, true
}

// decodeXtext decodes xtext (RFC 3461 section 4) to printable ASCII.
func decodeXtext(text string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '+' {
			if i+2 >= len(text) {
				return "", false
			}
			n, err := strconv.ParseUint(text[i+1:i+3], 16, 8)
			if err != nil {
				return "", false
			}
			c, i = byte(n), i+2
		}
		if c < ' ' || c > '~' {
			return "", false
		}
		b.WriteByte(c)
	}
	return b.String(), true
}

// decodeUnitext decodes utf-8-addr-xtext and utf-8-addr-unitext: characters are written
// as themselves or as \x{HEX}.
func decodeUnitext(text string) (string, bool) {
	var b strings.Builder
	for text != "" {
		plain, rest, escaped := strings.Cut(text, `\x{`)
		b.WriteString(plain)
		if !escaped {
			break
		}
		hex, after, ok := strings.Cut(rest, "}")
		n, err := strconv.ParseUint(hex, 16, 21)
		if !ok || err != nil || n < ' ' || n == 0x7f || !utf8.ValidRune(rune(n)) {
			return "", false
		}
		b.WriteRune(rune(n))
		text = after
	}
	return b.String(), true
}
