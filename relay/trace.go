package relay

import (
	"net/netip"
	"strings"
	"time"
)

// received builds the Received field of a message (RFC 5321 section 4.4). It names the
// recipient only where there is one, so that none learns of the others. With hidden it
// does not say where the message came from.
func received(hostname string, m *Message, hidden bool) string {
	var b strings.Builder
	b.Grow(256) // each message has one, so it is written without detours
	o := &m.Origin
	b.WriteString("Received: ")
	if !hidden {
		write(&b, "from ", traceWord(o.Greeting), " (")
		writeLiteral(&b, o.Client)
		b.WriteString(")\r\n\t")
	}
	if o.TLS != "" {
		write(&b, "(using ", traceText(o.TLS), ")\r\n\t")
	}
	write(&b, "by ", hostname, " (Postrider) with ", o.Protocol, " id ", m.ID.String())
	if len(m.Envelope.Recipients) == 1 {
		if to := m.Envelope.Recipients[0].Address; to.IsASCII() || m.Envelope.SMTPUTF8 {
			write(&b, "\r\n\tfor <", to.String(), ">")
		}
	}
	b.WriteString(";\r\n\t")
	var date [len(time.RFC1123Z) + 8]byte
	b.Write(m.Received.AppendFormat(date[:0], time.RFC1123Z))
	b.WriteString("\r\n")
	return b.String()
}

func write(b *strings.Builder, words ...string) {
	for _, w := range words {
		b.WriteString(w)
	}
}

// writeLiteral writes the address in the form of RFC 5321 section 4.1.3.
func writeLiteral(b *strings.Builder, addr netip.Addr) {
	addr = addr.Unmap()
	if !addr.IsValid() {
		b.WriteString("local")
		return
	}
	if addr.Is4() {
		b.WriteString("[")
	} else {
		b.WriteString("[IPv6:")
	}
	var text [64]byte
	b.Write(addr.WithZone("").AppendTo(text[:0]))
	b.WriteString("]")
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
