package outbound

import (
	"fmt"

	"postrider/relay"
)

// transcribe begins a transcript of a session, where somebody wants to read it.
func (t *Transport) transcribe(r *Route, domain string, to remote) *relay.Transcript {
	if t.o.Transcripts == nil {
		return nil
	}
	return t.o.Transcripts.Transcribe(relay.Talk{To: destinationOf(r, domain), Host: to.name, Addr: to.address()})
}

func destinationOf(r *Route, domain string) relay.Destination {
	if !r.MX {
		domain = ""
	}
	return relay.Destination{Route: r.Name, Domain: domain}
}

// transcribeFor begins a transcript with a message, where the session was opened for another
// destination or before anybody wanted to read it.
func (c *conn) transcribeFor(t relay.Transfer) {
	if c.transcript == nil && len(t.Recipients) > 0 {
		c.transcript = c.t.transcribe(c.route, t.Recipients[0].Address.Domain, c.remote)
	}
	if c.transcript != nil {
		c.transcript.Note("message %s, %d recipients", t.Message.ID, len(t.Recipients))
	}
}

// proof says whether a certificate is good.
func proof(fault error) string {
	if fault == nil {
		return "good"
	}
	return fault.Error()
}

// say writes a command, and takes it down.
func (x *transaction) say(b *buffer, line string) {
	x.c.transcript.Command(relay.Us, line)
	b.w.WriteString(line)
	b.w.WriteString("\r\n")
}

// contained takes down the length of a message that is sent at once.
func (x *transaction) contained(content []byte) {
	if x.c.transcript != nil {
		var l relay.Length
		_, _ = l.Write(content) // it cannot fail
		x.c.transcript.Content(relay.Us, l)
	}
}

// heard takes down a reply, and what ended the reading of it.
func (c *conn) heard(a answerLines, err error) {
	if c.transcript == nil {
		return
	}
	for i, line := range a.lines {
		separator := "-"
		if i == len(a.lines)-1 && err == nil {
			separator = " "
		}
		c.transcript.Answer(relay.Them, fmt.Sprintf("%d%s%s", a.code, separator, line))
	}
	if err != nil {
		c.transcript.Note("no reply: %v", err)
	}
}
