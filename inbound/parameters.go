package inbound

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-smtp"

	"postrider/relay"
)

// mailCommand is what a MAIL command says.
type mailCommand struct {
	smtp.MailOptions
	// from is the path, without its angle brackets.
	from string
	// priority is MT-PRIORITY (RFC 6710); go-smtp expects it at RCPT.
	priority int8
}

// offered says whether all extensions that the parameters use are.
func (m *mailCommand) offered(offers func(keyword string) bool) bool {
	return (m.Size == 0 || offers("SIZE")) && (m.Body != smtp.Body8BitMIME || offers("8BITMIME")) && (!m.UTF8 || offers("SMTPUTF8")) &&
		(!m.RequireTLS || offers("REQUIRETLS")) && (m.Return == "" && m.EnvelopeID == "" || offers("DSN")) &&
		(m.priority == 0 || offers("MT-PRIORITY"))
}

// parseMail reads the argument of MAIL (RFC 5321 section 4.1.1.2). Home is the domain of an
// address without one, "" where that is refused.
func parseMail(argument, home string) (mailCommand, *smtp.SMTPError) {
	var m mailCommand
	text, rest, ok := cutPath(argument, "FROM:")
	if !ok {
		return m, &replySyntax
	}
	m.from = qualified(text, home)
	return m, eachParameter(rest, m.set)
}

// set takes one parameter of MAIL.
func (m *mailCommand) set(key, value string) *smtp.SMTPError {
	ok := true
	switch key {
	case "SIZE":
		// What is beyond our numbers is too large, and no error of syntax (RFC 1870 section 4).
		size, err := strconv.ParseUint(value, 10, 63)
		m.Size, ok = int64(size), err == nil || errors.Is(err, strconv.ErrRange) && len(value) <= 20
	case "BODY":
		m.Body = smtp.BodyType(strings.ToUpper(value))
		ok = m.Body == smtp.Body8BitMIME || m.Body == smtp.Body7Bit
	case "SMTPUTF8":
		m.UTF8, ok = true, value == ""
	case "REQUIRETLS":
		m.RequireTLS, ok = true, value == ""
	case "RET":
		m.Return = smtp.DSNReturn(strings.ToUpper(value))
		ok = m.Return == smtp.DSNReturnFull || m.Return == smtp.DSNReturnHeaders
	case "ENVID":
		m.EnvelopeID, ok = decodeXtext(value)
		ok = ok && value != "" && len(value) <= 100 // RFC 3461 section 4.4
	case "MT-PRIORITY":
		m.priority, ok = parsePriority(value)
	case "AUTH":
		var submitter string
		submitter, ok = decodeXtext(value)
		submitter = strings.TrimSuffix(strings.TrimPrefix(submitter, "<"), ">")
		m.Auth = &submitter
	default:
		return &replyParameter
	}
	if !ok {
		return &replySyntax
	}
	return nil
}

// parsePriority reads MT-PRIORITY, from -9 to 9 without a plus or a zero in front (RFC 6710
// section 3).
func parsePriority(value string) (int8, bool) {
	n, err := strconv.ParseInt(value, 10, 8)
	return int8(n), err == nil && n >= -9 && n <= 9 && strconv.FormatInt(n, 10) == value
}

// rcptCommand is what a RCPT command says.
type rcptCommand struct {
	smtp.RcptOptions
	// to is the path, without its angle brackets.
	to string
}

// parseRcpt reads the argument of RCPT (RFC 5321 section 4.1.1.3).
func parseRcpt(argument, home string) (rcptCommand, *smtp.SMTPError) {
	var r rcptCommand
	text, rest, ok := cutPath(argument, "TO:")
	switch {
	case !ok:
		return r, &replySyntax
	case text == "":
		return r, &replyRecipient
	}
	r.to = qualified(text, home)
	return r, eachParameter(rest, r.set)
}

// set takes one parameter of RCPT.
func (r *rcptCommand) set(key, value string) *smtp.SMTPError {
	var ok bool
	switch key {
	case "NOTIFY":
		r.Notify, ok = parseNotify(value)
	case "ORCPT":
		r.OriginalRecipientType, r.OriginalRecipient, ok = parseOriginal(value)
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

// parsePath reads a path, bad being the answer to one that makes no sense.
func parsePath(text string, mayUTF8 bool, bad *smtp.SMTPError) (relay.Address, *smtp.SMTPError) {
	a, err := relay.ParseAddress(text)
	if err != nil {
		return relay.Address{}, bad
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
func eachParameter(text string, set func(key, value string) *smtp.SMTPError) *smtp.SMTPError {
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

// parseNotify reads NOTIFY. NEVER stands alone (RFC 3461 section 4.1).
func parseNotify(value string) ([]smtp.DSNNotify, bool) {
	var set []smtp.DSNNotify
	for word := range strings.SplitSeq(value, ",") {
		condition := smtp.DSNNotify(strings.ToUpper(word))
		switch condition {
		case smtp.DSNNotifyNever, smtp.DSNNotifySuccess, smtp.DSNNotifyFailure, smtp.DSNNotifyDelayed:
		default:
			return nil, false
		}
		if !slices.Contains(set, condition) {
			set = append(set, condition)
		}
	}
	return set, len(set) == 1 || !slices.Contains(set, smtp.DSNNotifyNever)
}

// parseOriginal reads ORCPT, "type;address" with the address in xtext, or for the type utf-8
// in the form of RFC 6533 section 3. The type stays as the client wrote it.
func parseOriginal(value string) (kind smtp.DSNAddressType, address string, ok bool) {
	before, address, ok := strings.Cut(value, ";")
	if !ok || before == "" || address == "" || len(value) > 500 { // RFC 3461 section 4.2
		return "", "", false
	}
	decode := decodeXtext
	if strings.EqualFold(before, string(smtp.DSNAddressTypeUTF8)) {
		decode = decodeUnitext
	}
	address, ok = decode(address)
	return smtp.DSNAddressType(before), address, ok && isASCII(before)
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
