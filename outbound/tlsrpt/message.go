package tlsrpt

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"time"

	"postrider/relay"
)

// mail makes the message that carries a report (RFC 8460 section 5.3). It has to arrive where
// TLS is what is broken, so it does without it where it must (RFC 8689 section 4).
func (r *Reporter) mail(domain string, to relay.Address, report *report, attachment []byte) []byte {
	o := &r.o
	boundary := "=_tlsrpt_" + report.Range.Start.Format(dayLayout) // no line of base64 begins with it
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: <%s>\r\nTo: <%s>\r\n", o.Contact, to)
	fmt.Fprintf(&b, "Date: %s\r\nMessage-ID: <%s>\r\n", o.Now().Format(time.RFC1123Z), report.ID)
	fmt.Fprintf(&b, "Subject: Report Domain: %s\r\n Submitter: %s\r\n Report-ID: <%s>\r\n", domain, o.Hostname, report.ID)
	fmt.Fprintf(&b, "TLS-Report-Domain: %s\r\nTLS-Report-Submitter: %s\r\n", domain, o.Hostname)
	b.WriteString("TLS-Required: No\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n")
	fmt.Fprintf(&b, "Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n boundary=\"%s\"\r\n\r\n", boundary)

	fmt.Fprintf(&b, "--%s\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n", boundary)
	fmt.Fprintf(&b, "This is a report on the TLS of sessions with the mail hosts of\r\n%s on %s (UTC), as %s saw them.\r\n\r\n",
		domain, report.Range.Start.Format(dayLayout), o.Hostname)

	name := report.name(o.Hostname, domain)
	fmt.Fprintf(&b, "--%s\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n", boundary)
	fmt.Fprintf(&b, "Content-Disposition: attachment;\r\n filename=\"%s\"\r\n\r\n", name)
	wrapBase64(&b, attachment)
	fmt.Fprintf(&b, "--%s--\r\n", boundary)
	return b.Bytes()
}

func wrapBase64(b *bytes.Buffer, content []byte) {
	const width = 76
	text := base64.StdEncoding.EncodeToString(content)
	for len(text) > 0 {
		n := min(width, len(text))
		b.WriteString(text[:n] + "\r\n")
		text = text[n:]
	}
}
