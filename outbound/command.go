package outbound

import (
	"fmt"
	"strconv"
	"strings"

	"postrider/relay"
)

// commands writes the commands of a transaction. Parameters are sent only where the peer
// offers their extension (conformance T11).
type commands struct {
	features features
	message  *relay.Message
	// utf8 says that addresses go as they are, with SMTPUTF8.
	utf8 bool
	// encrypted says that the session is, without which REQUIRETLS is not to be sent.
	encrypted bool
}

// mail gives the MAIL command without its line end.
func (c *commands) mail() string {
	e, f := &c.message.Envelope, &c.features
	var b strings.Builder
	b.WriteString("MAIL FROM:<" + c.address(e.Sender) + ">")
	if f.sized {
		b.WriteString(" SIZE=" + strconv.FormatInt(c.message.Size, 10))
	}
	// RFC 6531 section 3.6 lets SMTPUTF8 imply 8-bit text, and then it must be said.
	if f.eightBit && (e.EightBit || c.utf8) {
		b.WriteString(" BODY=8BITMIME")
	}
	if c.utf8 {
		b.WriteString(" SMTPUTF8")
	}
	if f.requireTLS && c.encrypted && e.RequireTLS {
		b.WriteString(" REQUIRETLS") // RFC 8689 section 4.2.1
	}
	if f.priority && e.Priority != 0 {
		b.WriteString(" MT-PRIORITY=" + strconv.Itoa(int(e.Priority))) // RFC 6710
	}
	if f.dsn {
		switch e.Return {
		case relay.ReturnFull:
			b.WriteString(" RET=FULL")
		case relay.ReturnHeaders:
			b.WriteString(" RET=HDRS")
		}
		if e.EnvelopeID != "" {
			b.WriteString(" ENVID=" + xtext(e.EnvelopeID))
		}
	}
	return b.String()
}

// rcpt gives the RCPT command without its line end.
func (c *commands) rcpt(r relay.Recipient) string {
	var b strings.Builder
	b.WriteString("RCPT TO:<" + c.address(r.Address) + ">")
	if !c.features.dsn {
		return b.String()
	}
	if r.Notify != 0 {
		b.WriteString(" NOTIFY=" + notify(r.Notify))
	}
	if kind, address, ok := strings.Cut(r.Original, ";"); ok {
		if strings.EqualFold(kind, "utf-8") {
			b.WriteString(" ORCPT=" + kind + ";" + utf8Xtext(address))
		} else {
			b.WriteString(" ORCPT=" + kind + ";" + xtext(address))
		}
	}
	return b.String()
}

// address gives a mailbox as the peer can take it.
func (c *commands) address(a relay.Address) string {
	if !c.utf8 {
		a, _ = asciiAddress(a)
	}
	return a.String()
}

// asciiAddress puts the domain into A-labels. It says no where the mailbox cannot be sent
// without SMTPUTF8.
func asciiAddress(a relay.Address) (relay.Address, bool) {
	if !isASCII(a.Domain) {
		domain, err := toASCII(a.Domain)
		if err != nil {
			return a, false
		}
		a.Domain = domain
	}
	return a, a.IsASCII()
}

// needsUTF8 says whether a message can be sent to the recipients only with SMTPUTF8 (RFC
// 6531): for an address, or for a header section that its sender declared to be UTF-8.
func needsUTF8(m *relay.Message, recipients []relay.Recipient) bool {
	if _, ok := asciiAddress(m.Envelope.Sender); !ok {
		return true
	}
	for _, r := range recipients {
		if _, ok := asciiAddress(r.Address); !ok {
			return true
		}
	}
	return m.Envelope.SMTPUTF8 && !isASCII(m.Header)
}

// notify gives the value of NOTIFY (RFC 3461 section 4.1).
func notify(n relay.Notify) string {
	if n&relay.NotifyNever != 0 {
		return "NEVER"
	}
	var words []string
	for _, w := range []struct {
		bit  relay.Notify
		word string
	}{{relay.NotifySuccess, "SUCCESS"}, {relay.NotifyFailure, "FAILURE"}, {relay.NotifyDelay, "DELAY"}} {
		if n&w.bit != 0 {
			words = append(words, w.word)
		}
	}
	return strings.Join(words, ",")
}

// xtext encodes a text as a parameter's value (RFC 3461 section 4).
func xtext(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if c < '!' || c > '~' || c == '+' || c == '=' {
			fmt.Fprintf(&b, "+%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// utf8Xtext encodes an address of type utf-8 so that every server with DSN can take it (RFC
// 6533 section 3, utf-8-addr-xtext).
func utf8Xtext(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r < '!' || r > '~' || r == '+' || r == '=' {
			fmt.Fprintf(&b, `\x{%02X}`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
