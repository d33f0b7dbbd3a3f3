package relay

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// dsn is a delivery status notification about one message (RFC 3464) for one occasion: the
// failure or the delay of some of its recipients.
type dsn struct {
	hostname string
	about    *Message
	outcomes []Outcome
	// host is the next hop that replied; "" when it was none.
	host string
	now  time.Time
	// until is when we give up; set for a delay.
	until time.Time
	// original is the body of the message about, if it is to be returned whole; otherwise
	// its header section is.
	original []byte
	whole    bool
}

// delayed says that this is a warning rather than the end.
func (n *dsn) delayed() bool { return !n.until.IsZero() }

// international says that the notice needs the UTF-8 forms of RFC 6533.
func (n *dsn) international() bool {
	if !isASCII(n.about.Envelope.Sender.String()) {
		return true
	}
	for _, o := range n.outcomes {
		if !isASCII(o.Recipient.Address.String()) {
			return true
		}
	}
	return false
}

// message builds the notice as a message of ours under the given ID.
func (n *dsn) message(id ID) (*Message, []byte) {
	to := n.about.Envelope.Sender
	body := n.body(id)
	header := n.header(id, to)
	return &Message{
		ID: id,
		Envelope: Envelope{
			Recipients: []Recipient{{Address: to, Notify: NotifyNever}},
			SMTPUTF8:   n.international(),
			EightBit:   !isASCII(string(body)),
		},
		Origin:   Origin{Greeting: n.hostname, Protocol: "local"},
		Header:   header,
		Size:     int64(len(header) + len(body)),
		Received: n.now,
	}, body
}

func (n *dsn) header(id ID, to Address) []byte {
	subject := "Undelivered mail returned to sender"
	if n.delayed() {
		subject = "Delayed mail (still being retried)"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: Mail Delivery System <MAILER-DAEMON@%s>\r\n", n.hostname)
	fmt.Fprintf(&b, "To: <%s>\r\n", to)
	fmt.Fprintf(&b, "Subject: %s\r\n", subject)
	fmt.Fprintf(&b, "Date: %s\r\n", n.now.Format(time.RFC1123Z))
	fmt.Fprintf(&b, "Message-ID: <%s@%s>\r\n", id, n.hostname)
	b.WriteString("Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n")
	fmt.Fprintf(&b, "Content-Type: multipart/report; report-type=%s;\r\n\tboundary=\"%s\"\r\n\r\n", n.reportType(), boundary(id))
	return b.Bytes()
}

func (n *dsn) reportType() string {
	if n.international() {
		return "global-delivery-status"
	}
	return "delivery-status"
}

// boundary is safe: an ID is never used twice, so no text quotes it.
func boundary(id ID) string { return "=_" + id.String() }

func (n *dsn) body(id ID) []byte {
	var b bytes.Buffer
	part := func(contentType string, content []byte) {
		encoding := "7bit"
		if !isASCII(string(content)) {
			encoding = "8bit"
		}
		fmt.Fprintf(&b, "--%s\r\nContent-Type: %s\r\nContent-Transfer-Encoding: %s\r\n\r\n", boundary(id), contentType, encoding)
		b.Write(content)
		b.WriteString("\r\n")
	}
	part("text/plain; charset=utf-8", n.explanation())
	part("message/"+n.reportType(), n.report())
	part(n.returned())
	fmt.Fprintf(&b, "--%s--\r\n", boundary(id))
	return b.Bytes()
}

// explanation is the part for people: what happened, who said what, what comes next.
func (n *dsn) explanation() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "This is the mail system at %s.\r\n\r\n", n.hostname)
	if n.delayed() {
		fmt.Fprintf(&b, "Your message of %s has not reached the following recipients yet.\r\n", n.about.Received.Format(time.RFC1123Z))
		fmt.Fprintf(&b, "Nothing needs to be done: delivery is tried again until %s.\r\n", n.until.Format(time.RFC1123Z))
	} else {
		fmt.Fprintf(&b, "Your message of %s could not be delivered to the following recipients\r\n", n.about.Received.Format(time.RFC1123Z))
		b.WriteString("and is not tried again. The report and the message are attached.\r\n")
	}
	for _, o := range n.outcomes {
		fmt.Fprintf(&b, "\r\n  <%s>\r\n    %s\r\n", o.Recipient.Address, n.saying(o))
	}
	return b.Bytes()
}

func (n *dsn) saying(o Outcome) string {
	text := oneLine(o.Reply.String())
	if n.host != "" && o.Reply.Code != 0 {
		text = n.host + " said: " + text
	}
	if o.Status == Expired {
		return "given up after " + n.now.Sub(n.about.Received).Round(time.Minute).String() + "; last: " + text
	}
	return text
}

// report is the part for machines (RFC 3464 section 2).
func (n *dsn) report() []byte {
	var b bytes.Buffer
	if id := n.about.Envelope.EnvelopeID; id != "" {
		fmt.Fprintf(&b, "Original-Envelope-Id: %s\r\n", oneLine(id))
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
		kind, address, _ := strings.Cut(oneLine(original), ";")
		fmt.Fprintf(b, "Original-Recipient: %s; %s\r\n", kind, address)
	}
	kind := "rfc822"
	if !isASCII(o.Recipient.Address.String()) {
		kind = "utf-8"
	}
	fmt.Fprintf(b, "Final-Recipient: %s; %s\r\n", kind, o.Recipient.Address)
	action := "failed"
	if n.delayed() {
		action = "delayed"
	}
	fmt.Fprintf(b, "Action: %s\r\nStatus: %s\r\n", action, statusCode(o))
	if n.host != "" {
		fmt.Fprintf(b, "Remote-MTA: dns; %s\r\n", n.host)
	}
	if o.Reply.Code != 0 {
		fmt.Fprintf(b, "Diagnostic-Code: smtp; %s\r\n", oneLine(o.Reply.String()))
	}
	fmt.Fprintf(b, "Last-Attempt-Date: %s\r\n", n.now.Format(time.RFC1123Z))
	if n.delayed() {
		fmt.Fprintf(b, "Will-Retry-Until: %s\r\n", n.until.Format(time.RFC1123Z))
	}
}

// statusCode is the reply's enhanced code, or the general one of its class.
func statusCode(o Outcome) string {
	if code := o.Reply.Enhanced.String(); code != "" {
		return code
	}
	if o.Status == Bounced {
		return "5.0.0"
	}
	return "4.4.7"
}

// returned is the message itself, or its header section.
func (n *dsn) returned() (contentType string, content []byte) {
	kind, headers := "message/rfc822", "text/rfc822-headers"
	if n.international() {
		kind, headers = "message/global", "message/global-headers"
	}
	if n.whole {
		return kind, append(bytes.Clone(n.about.Header), n.original...)
	}
	return headers, n.about.Header
}

// oneLine makes a peer's text fit to stand on a line of ours.
func oneLine(text string) string {
	const most = 900
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}
