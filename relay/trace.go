package relay

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// received builds the Received field of a message (RFC 5321 section 4.4). It names the
// recipient only where there is one, so that none learns of the others. With hidden it
// does not say where the message came from.
func received(hostname string, m *Message, hidden bool) string {
	var b strings.Builder
	o := &m.Origin
	b.WriteString("Received: ")
	if !hidden {
		fmt.Fprintf(&b, "from %s (%s)\r\n\t", traceWord(o.Greeting), clientLiteral(o.Client))
	}
	if o.TLS != "" {
		fmt.Fprintf(&b, "(using %s)\r\n\t", traceText(o.TLS))
	}
	fmt.Fprintf(&b, "by %s (Postrider) with %s id %s", hostname, o.Protocol, m.ID)
	if len(m.Envelope.Recipients) == 1 {
		if to := m.Envelope.Recipients[0].Address; to.IsASCII() || m.Envelope.SMTPUTF8 {
			fmt.Fprintf(&b, "\r\n\tfor <%s>", to)
		}
	}
	fmt.Fprintf(&b, ";\r\n\t%s\r\n", m.Received.Format(time.RFC1123Z))
	return b.String()
}

// clientLiteral gives the address in the form of RFC 5321 section 4.1.3.
func clientLiteral(addr netip.Addr) string {
	switch addr = addr.Unmap(); {
	case !addr.IsValid():
		return "local"
	case addr.Is4():
		return "[" + addr.String() + "]"
	}
	return "[IPv6:" + addr.WithZone("").String() + "]"
}

// traceWord makes what a client called itself fit to stand as a word in a field.
func traceWord(text string) string {
	word := strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>"\;,`, r) {
			return -1
		}
		return r
	}, text)
	if word == "" {
		return "unknown"
	}
	return word[:min(len(word), maxDomain)]
}

// traceText makes a description fit to stand in a comment.
func traceText(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f || strings.ContainsRune(`()\`, r) {
			return -1
		}
		return r
	}, text)
}
