package relay

import (
	"bytes"
	"fmt"
	"time"
)

// explanation is the part of a notice for people: what happened, who said what, what to do.
func (n *dsn) explanation() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "This is the mail system at %s, about your message of\r\n%s.\r\n", n.hostname, n.about.Received.Format(time.RFC1123Z))
	for _, a := range []action{failed, delayed, relayed} {
		list := n.of(a)
		if len(list) == 0 {
			continue
		}
		b.WriteString("\r\n" + n.introduce(a))
		for _, o := range list {
			fmt.Fprintf(&b, "\r\n  <%s>\r\n    %s\r\n", o.Recipient.Address, n.saying(o))
			if a == failed {
				fmt.Fprintf(&b, "    %s\r\n", advice(o))
			}
		}
	}
	b.WriteString("\r\nA report for programs follows, and the message or its header.\r\n")
	return b.Bytes()
}

// introduce says what happened to the recipients that are listed next.
func (n *dsn) introduce(a action) string {
	switch a {
	case delayed:
		return "It has not reached the following recipients yet. Nothing needs to be done:\r\n" +
			"delivery is tried again until " + n.until.Format(time.RFC1123Z) + ".\r\n"
	case relayed:
		return "It was handed on for the following recipients, to hosts that send no notices of\r\n" +
			"success: this is the last that you hear of it unless it fails later.\r\n"
	}
	return "It could not be delivered to the following recipients and is not tried again.\r\n"
}

// saying is who said what.
func (n *dsn) saying(o Outcome) string {
	text := oneLine(o.Reply.String())
	if o.Host != "" && o.Reply.Code != 0 {
		text = o.Host + " said: " + text
	}
	if o.Status == Expired {
		return "given up after " + n.now.Sub(n.about.Received).Round(time.Minute).String() + "; last: " + text
	}
	return text
}

// advice is what the sender can do about a failure, by its enhanced code (RFC 3463).
func advice(o Outcome) string {
	switch e := o.Reply.Enhanced; {
	case o.Status == Expired:
		return "Send it again later, or reach the recipient in another way."
	case e[1] == 1 && e[2] != 7 && e[2] != 8:
		return "Check the address: mail to it as it stands will not arrive."
	case e[1] == 2 && e[2] == 2:
		return "The mailbox is full: tell its owner in another way, and send it again later."
	case e[1] == 2 && e[2] == 3, e[1] == 3 && e[2] == 4:
		return "The message is too large for the host: send it in parts, or a link to it."
	case e[1] == 4 && e[2] == 6:
		return "The domain's mail is set up in a circle: its postmaster has to see to that."
	case e[1] == 6:
		return "The host cannot take the message in this form: send it as plain text, from another program."
	case e[1] == 7:
		return "The host refuses it by its rules: show the line above to its postmaster."
	}
	return "Show the line above to the postmaster of " + o.Recipient.Address.Domain + "."
}
