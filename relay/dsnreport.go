package relay

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// report is the part of a notice for machines (RFC 3464 section 2).
func (n *dsn) report() []byte {
	var b bytes.Buffer
	if id := n.about.Envelope.EnvelopeID; id != "" {
		fmt.Fprintf(&b, "Original-Envelope-Id: %s\r\n", n.inReport(id))
	}
	fmt.Fprintf(&b, "Reporting-MTA: dns; %s\r\n", n.hostname)
	fmt.Fprintf(&b, "X-Postrider-Queue-ID: %s\r\n", n.about.ID)
	fmt.Fprintf(&b, "Arrival-Date: %s\r\n", n.about.Received.Format(time.RFC1123Z))
	for _, o := range n.outcomes {
		b.WriteString("\r\n")
		n.reportRecipient(&b, o)
	}
	return b.Bytes()
}

func (n *dsn) reportRecipient(b *bytes.Buffer, o Outcome) {
	if original := o.Recipient.Original; original != "" {
		kind, address, _ := strings.Cut(original, ";")
		fmt.Fprintf(b, "Original-Recipient: %s; %s\r\n", n.inReport(kind), n.inReport(address))
	}
	kind := "rfc822"
	if !isASCII(o.Recipient.Address.String()) {
		kind = "utf-8"
	}
	fmt.Fprintf(b, "Final-Recipient: %s; %s\r\n", kind, o.Recipient.Address)
	fmt.Fprintf(b, "Action: %s\r\nStatus: %s\r\n", actionOf(o), statusCode(o))
	if o.Host != "" {
		fmt.Fprintf(b, "Remote-MTA: dns; %s\r\n", o.Host)
	}
	if o.Reply.Code != 0 {
		fmt.Fprintf(b, "Diagnostic-Code: smtp; %s\r\n", n.inReport(o.Reply.String()))
	}
	fmt.Fprintf(b, "Last-Attempt-Date: %s\r\n", n.now.Format(time.RFC1123Z))
	if actionOf(o) == delayed {
		fmt.Fprintf(b, "Will-Retry-Until: %s\r\n", n.until.Format(time.RFC1123Z))
	}
}

// inReport makes a text fit for a field of the report, which is ASCII unless it is in the form
// of RFC 6533.
func (n *dsn) inReport(text string) string {
	text = oneLine(text)
	if n.international() {
		return text
	}
	return strings.Map(func(r rune) rune {
		if r > '~' {
			return '?'
		}
		return r
	}, text)
}

// statusCode is the reply's enhanced code, or the general one of its class. What is tried again
// is temporary, whatever the host called it (RFC 3464 section 2.3.4).
func statusCode(o Outcome) string {
	code := o.Reply.Enhanced
	if o.Status == Deferred && code[0] == 5 {
		code[0] = 4
	}
	if text := code.String(); text != "" {
		return text
	}
	switch o.Status {
	case Bounced:
		return "5.0.0"
	case Delivered:
		return "2.0.0"
	}
	return "4.4.7"
}
