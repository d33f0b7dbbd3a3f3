package relay

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// dsn is a delivery status notification about one message (RFC 3464) for one occasion: what an
// attempt, or the time, made of some of its recipients.
type dsn struct {
	hostname string
	about    *Message
	outcomes []Outcome
	now      time.Time
	// until is when we give up what is delayed.
	until time.Time
	// original is the body of the message about, if it is to be returned whole; otherwise
	// its header section is.
	original []byte
	whole    bool
}

// of lists the outcomes with that action.
func (n *dsn) of(a action) []Outcome {
	var some []Outcome
	for _, o := range n.outcomes {
		if actionOf(o) == a {
			some = append(some, o)
		}
	}
	return some
}

// action is what a report says that became of a recipient (RFC 3464 section 2.3.3).
type action string

const (
	failed  action = "failed"
	delayed action = "delayed"
	relayed action = "relayed"
)

func actionOf(o Outcome) action {
	switch o.Status {
	case Delivered:
		return relayed
	case Deferred:
		return delayed
	}
	return failed
}

// worst is what the notice as a whole is about.
func (n *dsn) worst() action {
	for _, a := range []action{failed, delayed} {
		if len(n.of(a)) > 0 {
			return a
		}
	}
	return relayed
}

// status is the status of an outcome that has the worst action.
func (n *dsn) status() Status { return n.of(n.worst())[0].Status }

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
			RequireTLS: n.about.Envelope.RequireTLS, // RFC 8689 section 5
		},
		Origin:   Origin{Greeting: n.hostname, Protocol: "local"},
		Header:   header,
		Size:     int64(len(header) + len(body)),
		Received: n.now,
	}, body
}

func (n *dsn) header(id ID, to Address) []byte {
	subject := map[action]string{
		failed:  "Undelivered mail returned to sender",
		delayed: "Delayed mail (still being retried)",
		relayed: "Mail relayed as you asked to be told",
	}[n.worst()]
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

// returned is the message itself, or its header section.
func (n *dsn) returned() (contentType string, content []byte) {
	kind, headers := "message/rfc822", "text/rfc822-headers"
	// A header section in UTF-8 is not that of a message/rfc822 (RFC 6532 section 3.7).
	if n.international() || !isASCII(string(n.about.Header)) {
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
